//! Changes of tables that the rules do not cover: they are passed over, and their sources kept until rules cover them.
//!
//! Triggers are replaced before the relay reloads its file. If a table was renamed, or is watched for the first time, changes written
//! between the two belong to a source that the running rules do not have. When later rules have it, subscribers must be told to reload.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use tracing::warn;

use crate::mapping::Mapping;

/// The minimum time between warnings that changes are passed over, and between attempts to count the loss.
const PACE: Duration = Duration::from_secs(10);
/// The maximum number of sources that are kept. Each is a table with one of our triggers.
const MAX_SOURCES: usize = 1_000;
/// The maximum number of sources that a warning names.
const NAMED: usize = 10;

/// The changes passed over since the relay started, in all of its leaderships.
#[derive(Debug, Default)]
pub(super) struct Unknown(Mutex<Passed>);

#[derive(Debug, Default)]
struct Passed {
    sources: BTreeSet<String>,
    /// The changes that no warning has counted yet.
    unreported: u64,
    reported_at: Option<Instant>,
    /// When the loss could not be counted.
    postponed_at: Option<Instant>,
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
            let sources: Vec<&str> = passed.sources.iter().take(NAMED).map(String::as_str).collect();
            warn!(
                sources = sources.join(", "),
                changes,
                "changes of a table that the running rules do not have are not published: run `instant apply` if it is no longer watched, \
                 or reload the rules (`systemctl reload instant`, SIGHUP) if it was renamed or is new; `instant replay` then \
                 sends them"
            );
        }
    }

    /// The sources that were passed over and that `rules` cover; none for a while after [`Self::postpone`].
    pub(super) fn known_to(&self, rules: &Mapping) -> Vec<String> {
        let passed = self.lock();
        if passed.postponed_at.is_some_and(|postponed| postponed.elapsed() < PACE) {
            return Vec::new();
        }
        passed.sources.iter().filter(|source| rules.knows(source)).cloned().collect()
    }

    /// Records that the loss could not be counted for now.
    pub(super) fn postpone(&self) {
        self.lock().postponed_at = Some(Instant::now());
    }

    /// Removes sources that have been reported.
    pub(super) fn clear(&self, sources: &[String]) {
        let mut passed = self.lock();
        for source in sources {
            passed.sources.remove(source);
        }
        // The next change that is passed over is a new case, and warned about immediately.
        passed.reported_at = None;
        passed.unreported = 0;
        passed.postponed_at = None;
    }

    fn lock(&self) -> MutexGuard<'_, Passed> {
        self.0.lock()
    }
}
