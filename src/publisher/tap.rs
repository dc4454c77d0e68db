//! A look at what is published, while it is.

use std::sync::Arc;

use tokio::sync::broadcast;

use super::{BatchError, Publisher, Rejection, Reply};
use crate::mapping::Publication;

/// What an observer who is slow may miss no more than: beyond it, the oldest are skipped.
const KEPT: usize = 4096;

/// A publication that was taken or refused.
#[derive(Debug)]
pub struct Passed {
    /// The channel.
    pub channel: Arc<str>,
    /// The event.
    pub event: Box<[u8]>,
    /// Why it was refused, if it was.
    pub refused: Option<Rejection>,
}

/// Where observers look.
#[derive(Clone, Debug)]
pub struct Observers(broadcast::Sender<Arc<Passed>>);

impl Default for Observers {
    fn default() -> Self {
        Self(broadcast::Sender::new(KEPT))
    }
}

impl Observers {
    /// One more, who sees what passes from now on.
    #[must_use]
    pub fn join(&self) -> broadcast::Receiver<Arc<Passed>> {
        self.0.subscribe()
    }
}

/// A publisher with observers. While nobody looks it costs nothing but the question.
#[derive(Debug)]
pub struct Tap<P> {
    publisher: Arc<P>,
    observers: Observers,
}

impl<P> Tap<P> {
    /// Shows what goes to `publisher`.
    #[must_use]
    pub fn new(publisher: Arc<P>, observers: Observers) -> Self {
        Self { publisher, observers }
    }
}

impl<P: Publisher> Publisher for Tap<P> {
    async fn publish(&self, batch: &[&Publication]) -> Result<Vec<Reply>, BatchError> {
        let replies = self.publisher.publish(batch).await?;
        if self.observers.0.receiver_count() > 0 {
            for (publication, reply) in batch.iter().zip(&replies) {
                let passed = Passed {
                    channel: Arc::clone(&publication.channel),
                    event: publication.event.as_slice().into(),
                    refused: reply.as_ref().err().cloned(),
                };
                // The last observer may just have left.
                let _ = self.observers.0.send(Arc::new(passed));
            }
        }
        Ok(replies)
    }

    fn lead(&self, leads: bool) {
        self.publisher.lead(leads);
    }
}
