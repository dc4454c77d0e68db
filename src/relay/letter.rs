//! The dead letters that the relay parks: of rules that fail, and of publications that are rejected.

use crate::mapping::{Failure, Origin, Publication};
use crate::outbox::DeadLetter;
use crate::publisher::Rejection;

/// The dead letter of a rule that failed.
pub(super) fn parked(failure: &Failure) -> DeadLetter {
    DeadLetter {
        old: failure.old.clone(),
        new: failure.new.clone(),
        ..letter(&failure.origin, failure.reason.clone())
    }
}

/// The dead letter of a publication that was rejected.
pub(super) fn rejected(publication: &Publication, rejection: &Rejection, attempts: u32) -> DeadLetter {
    DeadLetter {
        key: publication.idempotency_key(),
        channel: Some(publication.channel.to_string()),
        event: Some(String::from_utf8_lossy(&publication.event).into_owned()),
        code: Some(rejection.stored_code()),
        attempts: i32::try_from(attempts).unwrap_or(i32::MAX),
        ..letter(&publication.origin, rejection.message.clone())
    }
}

fn letter(origin: &Origin, reason: String) -> DeadLetter {
    DeadLetter {
        key: origin.to_string(),
        change_id: origin.change_id,
        change_at: origin.at,
        source: origin.rule.source.clone(),
        operation: origin.operation.letter() as i8,
        model: origin.rule.model.clone(),
        rule: i32::try_from(origin.rule.number).unwrap_or(i32::MAX),
        channel: None,
        event: None,
        old: None,
        new: None,
        reason,
        code: None,
        attempts: 1,
    }
}
