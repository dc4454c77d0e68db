//! The publisher that publications are sent to, and what its answers mean.

mod api_server;
pub mod centrifugo;
pub mod code;
mod delivery;
mod policy;
mod tap;

pub use api_server::ApiServer;
pub use delivery::{Delivery, deliver};
pub use policy::{BatchDirective, Directive, directive, on_code, on_status};
pub use tap::{Observers, Passed, Tap};

use crate::mapping::Publication;

/// Accepts publications in order, one batch at a time.
pub trait Publisher: Send + Sync + 'static {
    /// Publishes `batch` in its order. Returns one reply per publication, in the same order. An empty batch asks whether another would be
    /// accepted.
    ///
    /// # Errors
    /// When the batch as a whole has no replies.
    fn publish(&self, batch: &[&Publication]) -> impl Future<Output = Result<Vec<Reply>, BatchError>> + Send;

    /// Notifies the publisher whether this process publishes or another one does. Subscribers that connect to a process itself must be
    /// connected to the one that publishes.
    fn lead(&self, _leads: bool) {}
}

/// The outcome of one publication.
pub type Reply = Result<(), Rejection>;

/// The rejection of a publication.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, thiserror::Error)]
#[error("{message} (code {code})")]
pub struct Rejection {
    /// The publisher's error code, one of [`code`] or another.
    pub code: u32,
    /// The publisher's message.
    #[serde(default)]
    pub message: String,
}

impl Rejection {
    /// The code as stored in a dead letter: PostgreSQL has no unsigned integers.
    #[must_use]
    pub fn stored_code(&self) -> i32 {
        i32::try_from(self.code).unwrap_or(i32::MAX)
    }
}

/// The error of a batch without replies.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// The batch was refused as malformed: one of its publications is at fault.
    #[error("the batch was refused: {0}")]
    Refused(String),
    /// The batch was not accepted for now, or its outcome is unknown: send it again with the same keys.
    #[error("{reason}")]
    Unavailable {
        /// What happened.
        reason: String,
        /// What an operator can do, if known.
        hint: Option<&'static str>,
    },
}

impl BatchError {
    /// What an operator can do, if known.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Refused(_) => None,
            Self::Unavailable { hint, .. } => *hint,
        }
    }

    /// The message, with the hint if there is one.
    #[must_use]
    pub fn with_hint(&self) -> String {
        match self.hint() {
            Some(hint) => format!("{self} ({hint})"),
            None => self.to_string(),
        }
    }
}
