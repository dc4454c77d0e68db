//! A dead letter, as the relay parks it.

use jiff::Timestamp;

use crate::change::Operation;

/// A publication that was parked, with its reason.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// The publication's idempotency key.
    pub key: String,
    /// The change's id in the outbox.
    pub change_id: i64,
    /// When the change was written.
    pub change_at: Timestamp,
    /// The watch, as the outbox calls it.
    pub source: String,
    /// The operation's letter.
    pub operation: i8,
    /// The model, as events call it.
    pub model: String,
    /// The rule's number within the watch, from 1.
    pub rule: i32,
    /// The channel, unless the rule failed before there was one.
    pub channel: Option<String>,
    /// The event as JSON, unless the rule failed before there was one.
    pub event: Option<String>,
    /// The captured columns before, where there is no event.
    pub old: Option<String>,
    /// The captured columns after, where there is no event.
    pub new: Option<String>,
    /// Why it was parked.
    pub reason: String,
    /// The publisher's error code, if it gave one.
    pub code: Option<i32>,
    /// How often it was tried.
    pub attempts: i32,
}

impl DeadLetter {
    /// What happened to the row; none when a newer version wrote it.
    #[must_use]
    pub fn operation(&self) -> Option<Operation> {
        Operation::from_letter(char::from(self.operation.cast_unsigned()))
    }
}
