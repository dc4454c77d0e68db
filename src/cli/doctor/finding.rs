//! A finding: something that is wrong.

use std::fmt;

use serde::Serialize;

/// Something that is wrong.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Finding {
    /// A stable name, documented in `docs/operations.md`.
    pub(super) code: &'static str,
    /// What is wrong, human-readable.
    pub(super) what: String,
    /// Where: a table, a role, a session, a channel.
    pub(super) place: String,
    /// The command or statement that fixes it.
    pub(super) fix: String,
}

/// What has been found so far.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) items: Vec<Finding>,
}

impl Findings {
    /// Adds a finding.
    pub(super) fn add(&mut self, code: &'static str, what: impl Into<String>, place: impl Into<String>, fix: impl Into<String>) {
        self.items.push(Finding {
            code,
            what: what.into(),
            place: place.into(),
            fix: fix.into(),
        });
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            code, what, place, fix, ..
        } = self;
        write!(f, "{code}: {what}\n  where: {place}\n  fix:   {fix}")
    }
}
