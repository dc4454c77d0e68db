//! Announcements: changes that arrive with the notifications of a doze, and which of them may be taken before they are read.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::position::{Snapshot, Transactions};
use crate::change::{Change, Operation};

/// A payload that `instant.announce` sent.
#[derive(Debug)]
pub struct Announcement(String);

/// Its columns: the transaction, the id, microseconds since 1970, the source, the operation's letter, and the row before and after. A
/// source that JSON must escape cannot be borrowed: such a change is left to the read.
#[derive(Deserialize)]
struct Columns<'a>(
    &'a str,
    i64,
    i64,
    &'a str,
    char,
    #[serde(borrow)] Option<&'a RawValue>,
    #[serde(borrow)] Option<&'a RawValue>,
);

impl Announcement {
    pub(super) const fn new(payload: String) -> Self {
        Self(payload)
    }

    /// The change and the transaction that wrote it; `None` if the payload is anything else.
    #[must_use]
    pub fn change(&self) -> Option<(Change<'_>, u64)> {
        let Columns(transaction, id, at, source, letter, old, new) = serde_json::from_str(&self.0).ok()?;
        let change = Change {
            id,
            at: Timestamp::from_microsecond(at).ok()?,
            source,
            operation: Operation::from_letter(letter)?,
            old: old.map(RawValue::get),
            new: new.map(RawValue::get),
        };
        Some((change, transaction.parse().ok()?))
    }
}

/// The ids seen so far, to the extent needed to decide that a change is the next one: that every smaller id was seen.
///
/// Ids are assigned one by one, each to a transaction that already has its number. So an id that was passed over belongs to a
/// transaction that has ended, or to one that had begun by the time of the window.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The largest id; `None` before the first.
    last: Option<i64>,
    /// The announced changes that the window is expected to bring: their ids and hashes.
    announced: Vec<(i64, u64)>,
    /// Whether the current window passed over an id.
    gap: bool,
    /// Transactions with smaller numbers than this may still bring ids that were passed over.
    doubt: Option<u64>,
    /// The transactions at the end of the current window.
    window: Option<Transactions>,
}

impl Seen {
    /// Begins a window whose snapshot is `until`; by then `ahead` transactions had numbers from its xmax on.
    pub(super) fn begin(&mut self, until: &Snapshot, ahead: i32) {
        self.window = until.transactions(ahead);
    }

    /// Records a change of the window; false if it was announced exactly like this.
    pub(super) fn read(&mut self, change: &Change<'_>) -> bool {
        if let Some(index) = self.announced.iter().position(|(id, _)| *id == change.id) {
            let is_the_same = self.announced[index].1 == hash_of(change);
            if is_the_same {
                self.announced.swap_remove(index);
            }
            return !is_the_same;
        }
        self.gap |= self.last.is_none_or(|last| change.id > last + 1);
        self.last = self.last.max(Some(change.id));
        true
    }

    /// Ends the window.
    pub(super) fn end(&mut self) {
        if !self.announced.is_empty() {
            // A change was announced that nobody wrote, so nothing is known about the ids up to the last one.
            self.announced.clear();
            self.last = None;
        }
        if let Some(window) = self.window.take() {
            if std::mem::take(&mut self.gap) {
                self.doubt = Some(window.begun);
            }
            self.doubt = self.doubt.filter(|doubt| *doubt > window.ended);
        }
    }

    /// Takes an announced change, if it is the next one.
    pub(super) fn admit(&mut self, change: &Change<'_>) -> bool {
        let is_next = !self.gap && self.doubt.is_none() && self.last.is_some_and(|last| change.id == last + 1);
        if is_next {
            self.announced.push((change.id, hash_of(change)));
            self.last = Some(change.id);
        }
        is_next
    }
}

/// A hash of the whole change, its time included: a forger of announcements cannot know when the next change will be written.
fn hash_of(change: &Change<'_>) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(change)
}

#[cfg(test)]
mod tests;
