//! What a file that is read again changes in a process that runs.

use super::Config;

impl Config {
    /// What a process with this configuration goes on with after it has read `file`: the keys that are read at the start alone stay as
    /// they are. The table of `docs/operations.md` says which.
    #[must_use]
    pub fn reloaded(&self, file: Self) -> Self {
        let running = self.clone();
        Self {
            source: file.source,
            site: file.site,
            database: running.database,
            centrifugo: running.centrifugo,
            hub: running.hub,
            django: file.django,
            server: running.server,
            retention: running.retention,
            related_ttl: running.related_ttl,
            prefix: file.prefix,
            anonymous: file.anonymous,
            channels: file.channels,
            watches: file.watches,
        }
    }
}
