//! A look at what is published, while it is.

use std::sync::Arc;

use tokio::sync::broadcast;

use super::{BatchError, Publisher, Rejection, Reply};
use crate::mapping::Publication;

/// Publications that are kept for an observer who is slow; of more, the oldest are skipped. With [`LARGEST_EVENT`] it bounds what one who
/// has stopped to look holds to 32 MB.
const KEPT: usize = 512;
/// Bytes of the largest event that observers see.
const LARGEST_EVENT: usize = 64 * 1024;

/// A publication that was taken or refused.
#[derive(Debug)]
pub struct Passed {
    /// The channel.
    pub channel: Arc<str>,
    /// The event; none where it is too large to be shown.
    pub event: Option<Box<[u8]>>,
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
                    event: (publication.event.len() <= LARGEST_EVENT).then(|| publication.event.as_slice().into()),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Taking;

    impl Publisher for Taking {
        async fn publish(&self, batch: &[&Publication]) -> Result<Vec<Reply>, BatchError> {
            Ok(batch.iter().map(|_| Ok(())).collect())
        }
    }

    fn publication(bytes: usize) -> Publication {
        Publication {
            event: vec![b' '; bytes],
            ..Publication::example(1, "public")
        }
    }

    #[tokio::test]
    async fn an_observer_sees_what_passes_but_for_events_that_are_too_large_to_be_shown() {
        let observers = Observers::default();
        let tap = Tap::new(Arc::new(Taking), observers.clone());
        let mut observer = observers.join();
        let (largest, larger) = (publication(LARGEST_EVENT), publication(LARGEST_EVENT + 1));
        tap.publish(&[&largest, &larger]).await.unwrap();
        let seen = observer.recv().await.unwrap();
        assert_eq!(seen.event.as_deref(), Some(&*largest.event));
        assert_eq!(observer.recv().await.unwrap().event, None);
    }
}
