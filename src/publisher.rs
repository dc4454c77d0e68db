//! Publisher: where publications go, and what its answers mean.

pub mod centrifugo;
pub mod code;
mod delivery;
mod policy;
mod side;
mod tap;

pub use delivery::{Delivery, deliver};
pub use policy::{BatchDirective, Directive, directive, on_code, on_status};
pub use side::Side;
pub use tap::{Observers, Passed, Tap};

use crate::mapping::Publication;

/// Takes publications, in order, a batch at a time.
pub trait Publisher: Send + Sync + 'static {
    /// Publishes `batch` in its order. One reply a publication, in the same order. An empty batch asks whether another would be taken.
    fn publish(&self, batch: &[&Publication]) -> impl Future<Output = Result<Vec<Reply>, BatchError>> + Send;

    /// Learns whether this process is the one that publishes, or another. Where listeners are connected to the process itself, they
    /// must be connected to that one.
    fn lead(&self, _leads: bool) {}
}

/// What became of one publication.
pub type Reply = Result<(), Rejection>;

/// A publication that was not taken.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, thiserror::Error)]
#[error("{message} (code {code})")]
pub struct Rejection {
    /// The publisher's error code, one of [`code`] or another.
    pub code: u32,
    /// Its own words.
    #[serde(default)]
    pub message: String,
}

impl Rejection {
    /// The code as a dead letter holds it: PostgreSQL has no numbers without a sign.
    #[must_use]
    pub fn stored_code(&self) -> i32 {
        i32::try_from(self.code).unwrap_or(i32::MAX)
    }
}

/// Why a whole batch has no replies.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// It was refused as malformed: one of its publications is at fault.
    #[error("the batch was refused: {0}")]
    Refused(String),
    /// It was not taken for now, or nobody knows: send it again with the same keys.
    #[error("{reason}")]
    Unavailable {
        /// What happened.
        reason: String,
        /// What an operator can do, where it is known.
        hint: Option<&'static str>,
    },
}

impl BatchError {
    /// What an operator can do, where it is known.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Refused(_) => None,
            Self::Unavailable { hint, .. } => *hint,
        }
    }

    /// What happened, and what an operator can do.
    #[must_use]
    pub fn told(&self) -> String {
        match self.hint() {
            Some(hint) => format!("{self} ({hint})"),
            None => self.to_string(),
        }
    }
}
