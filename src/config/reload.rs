//! What reloading the file changes in a running process.

use super::Config;

impl Config {
    /// Returns the configuration with which a running process continues after it has read `file`: keys that are only read at the
    /// start keep their values. `docs/operations.md` lists them.
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
