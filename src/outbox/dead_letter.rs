//! A dead letter as the relay parks it.

use jiff::Timestamp;

use crate::change::Operation;

/// A parked publication, with the reason.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// The publication's idempotency key.
    pub key: String,
    /// The change's id in the outbox.
    pub change_id: i64,
    /// When the change was written.
    pub change_at: Timestamp,
    /// The watch, by its name in the outbox.
    pub source: String,
    /// The operation's letter.
    pub operation: i8,
    /// The model, by its name in events.
    pub model: String,
    /// The rule's number within the watch, from 1.
    pub rule: i32,
    /// The channel, unless the rule failed before there was one.
    pub channel: Option<String>,
    /// The event as JSON, unless the rule failed before there was one.
    pub event: Option<String>,
    /// The captured columns before the change, if there is no event.
    pub old: Option<String>,
    /// The captured columns after the change, if there is no event.
    pub new: Option<String>,
    /// Why it was parked.
    pub reason: String,
    /// The publisher's error code, if it gave one.
    pub code: Option<i32>,
    /// How often it was tried.
    pub attempts: i32,
}

impl DeadLetter {
    /// The operation on the row; `None` if a newer version wrote the letter.
    #[must_use]
    pub fn operation(&self) -> Option<Operation> {
        Operation::from_letter(char::from(self.operation.cast_unsigned()))
    }
}
