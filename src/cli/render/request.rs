//! The requests to `instant render`.

use jiff::Timestamp;
use serde::Deserialize;

use crate::change::{Change, Operation};
use crate::mapping::LookupId;

/// A line: changes, and the rows that were looked up for them so far.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    pub(super) changes: Vec<Captured>,
    #[serde(default)]
    pub(super) rows: Vec<LookedUp>,
}

/// A row of the outbox.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Captured {
    id: i64,
    at: Timestamp,
    source: String,
    /// The letter of the operation.
    op: char,
    /// The captured columns before, as JSON text: digits stay as they are.
    old: Option<String>,
    /// The captured columns after.
    new: Option<String>,
}

/// What a lookup found under a key.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LookedUp {
    pub(super) lookup: LookupId,
    pub(super) key: String,
    /// The columns' values as JSON text; null for SQL's null. `None` if there is no such row.
    pub(super) values: Option<Vec<Option<String>>>,
    /// Why it could not be looked up.
    pub(super) refused: Option<String>,
}

impl Captured {
    /// The change.
    ///
    /// # Errors
    /// When the letter is not an operation's; the text is human-readable.
    pub(super) fn change(&self) -> Result<Change<'_>, String> {
        let operation =
            Operation::from_letter(self.op).ok_or_else(|| format!("`{}` is not the letter of an operation", self.op))?;
        Ok(Change {
            id: self.id,
            at: self.at,
            source: &self.source,
            operation,
            old: self.old.as_deref(),
            new: self.new.as_deref(),
        })
    }
}
