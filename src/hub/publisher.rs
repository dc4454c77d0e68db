//! The hub as a publisher: the relay publishes to it as to Centrifugo, but without a network.

use super::{Draft, Hub};
use crate::mapping::Publication;
use crate::publisher::{BatchError, Publisher, Rejection, Reply};

impl Publisher for Hub {
    async fn publish(&self, batch: &[&Publication]) -> Result<Vec<Reply>, BatchError> {
        if !self.admits() {
            return Err(not_leading());
        }
        let mut replies = Vec::with_capacity(batch.len());
        let mut key = Vec::new();
        for publication in batch {
            key.clear();
            publication.write_idempotency_key(&mut key);
            let draft = Draft {
                data: &publication.event,
                key: Some(&key),
                ..Draft::default()
            };
            let published = Self::publish(self, &publication.channel, &draft).await;
            replies.push(published.map(drop).map_err(|error| Rejection {
                code: error.code,
                message: error.message.to_owned(),
            }));
            // Yields to the subscribers' tasks, even while a window of thousands is published.
            tokio::task::coop::consume_budget().await;
        }
        // The subscribers may have been disconnected meanwhile.
        if self.admits() { Ok(replies) } else { Err(not_leading()) }
    }

    fn lead(&self, leads: bool) {
        self.admit(leads);
    }
}

/// The error of a hub that admits no clients.
fn not_leading() -> BatchError {
    BatchError::Unavailable {
        reason: "this process does not lead".to_owned(),
        hint: Some("ask the one that leads"),
    }
}
