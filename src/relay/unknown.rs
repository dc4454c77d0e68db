//! Changes of tables that the rules do not know: they are passed over, and remembered until rules know them.
//!
//! Triggers are replaced before the relay reads its file again. Where a table got another name, or is watched for the first time, what is
//! written between the two belongs to a source that the running rules do not have. When later rules have it, subscribers must be told.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use tracing::warn;

use crate::mapping::Mapping;

/// How often it is said that changes are passed over.
const PACE: Duration = Duration::from_secs(10);
/// The sources that are remembered at most. Each is a table that a trigger of ours is on.
const MAX_SOURCES: usize = 1_000;

/// What was passed over since the relay was started, by whichever leadership of its.
#[derive(Debug, Default)]
pub(super) struct Unknown(Mutex<Passed>);

#[derive(Debug, Default)]
struct Passed {
    sources: BTreeSet<String>,
    /// The changes that nothing was said of yet.
    unreported: u64,
    reported_at: Option<Instant>,
}

impl Unknown {
    /// Passes a change of `source` over.
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
                "changes of a table that the running rules do not have are not published: run `instant apply` if it is watched no more, \
                 or have the rules read again (`systemctl reload instant`, SIGHUP) if it was renamed or is new; `instant replay` then \
                 sends them"
            );
        }
    }

    /// The sources that were passed over and that `rules` know.
    pub(super) fn known_to(&self, rules: &Mapping) -> Vec<String> {
        let sources = &self.lock().sources;
        sources.iter().filter(|source| rules.knows(source)).cloned().collect()
    }

    /// Subscribers are told of these.
    pub(super) fn clear(&self, sources: &[String]) {
        let mut passed = self.lock();
        for source in sources {
            passed.sources.remove(source);
        }
        // What comes next is another story.
        passed.reported_at = None;
    }

    fn lock(&self) -> MutexGuard<'_, Passed> {
        self.0.lock()
    }
}
