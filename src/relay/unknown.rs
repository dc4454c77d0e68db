//! Changes of tables that the rules do not cover: they are passed over, and their sources kept until rules cover them.
//!
//! Triggers are replaced before the relay reloads its file. If a table was renamed, or is watched for the first time, changes written
//! between the two belong to a source that the running rules do not have. When later rules have it, subscribers must be told to reload.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use tracing::warn;

use crate::mapping::Mapping;

/// The minimum time between warnings that changes are passed over.
const PACE: Duration = Duration::from_secs(10);
/// The maximum number of sources that are kept. Each is a table with one of our triggers.
const MAX_SOURCES: usize = 1_000;

/// The changes passed over since the relay started, in all of its leaderships.
#[derive(Debug, Default)]
pub(super) struct Unknown(Mutex<Passed>);

#[derive(Debug, Default)]
struct Passed {
    sources: BTreeSet<String>,
    /// The changes that no warning has counted yet.
    unreported: u64,
    reported_at: Option<Instant>,
}

impl Unknown {
    /// Records that a change of `source` is passed over.
    pub(super) fn pass(&self, source: &str) {
        let mut passed = self.lock();
        if passed.sources.len() < MAX_SOURCES && !passed.sources.contains(source) {
            passed.sources.insert(source.to_owned());
        }
        passed.unreported += 1;
        if passed.reported_at.is_none_or(|reported| reported.elapsed() >= PACE) {
            passed.reported_at = Some(Instant::now());
            let changes = std::mem::take(&mut passed.unreported);
            warn!(
                source,
                changes,
                "changes of a table that the running rules do not have are not published: run `instant apply` if it is no longer watched, \
                 or reload the rules (`systemctl reload instant`, SIGHUP) if it was renamed or is new; `instant replay` then \
                 sends them"
            );
        }
    }

    /// The sources that were passed over and that `rules` cover.
    pub(super) fn known_to(&self, rules: &Mapping) -> Vec<String> {
        let sources = &self.lock().sources;
        sources.iter().filter(|source| rules.knows(source)).cloned().collect()
    }

    /// Removes sources that have been reported.
    pub(super) fn clear(&self, sources: &[String]) {
        let mut passed = self.lock();
        for source in sources {
            passed.sources.remove(source);
        }
        // The next change that is passed over is a new case, and warned about immediately.
        passed.reported_at = None;
    }

    fn lock(&self) -> MutexGuard<'_, Passed> {
        self.0.lock()
    }
}
