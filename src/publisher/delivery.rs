//! One attempt to deliver a batch, which isolates the publication at fault if the batch is refused as a whole.

use super::code::REFUSED;
use super::{BatchError, Directive, Publisher, Rejection, Reply, directive};
use crate::mapping::Publication;

/// The outcome of a batch.
#[derive(Debug)]
pub struct Delivery {
    /// The replies to the first publications of the batch, in its order; to all of them, unless it was interrupted or a publication of a
    /// part must be sent again: the parts after it may have to wait for that one.
    pub replies: Vec<Reply>,
    /// Why the rest has no replies, if its request failed.
    pub interrupted: Option<BatchError>,
}

/// Publishes `batch` in its order, once. A batch that is refused as a whole is halved until the publication at fault is alone; its reply
/// is then the refusal.
pub async fn deliver(publisher: &impl Publisher, batch: &[&Publication]) -> Delivery {
    let mut replies = Vec::with_capacity(batch.len());
    // Parts still to be sent, the first on top.
    let mut parts = vec![batch];
    while let Some(part) = parts.pop() {
        if part.is_empty() {
            continue;
        }
        match publisher.publish(part).await {
            Ok(answered) => {
                let must_be_sent_again = answered.iter().any(is_retry);
                replies.extend(answered);
                if must_be_sent_again {
                    break;
                }
            }
            Err(BatchError::Refused(message)) if part.len() == 1 => replies.push(Err(Rejection { code: REFUSED, message })),
            Err(BatchError::Refused(_)) => {
                let (first, second) = part.split_at(part.len() / 2);
                parts.extend([second, first]);
            }
            Err(interrupted) => {
                return Delivery {
                    replies,
                    interrupted: Some(interrupted),
                };
            }
        }
    }
    Delivery {
        replies,
        interrupted: None,
    }
}

fn is_retry(reply: &Reply) -> bool {
    reply
        .as_ref()
        .is_err_and(|rejection| matches!(directive(rejection), Directive::Retry))
}
