//! Publications shown to observers as they are published.

use std::sync::Arc;

use tokio::sync::broadcast;

use super::{BatchError, Publisher, Rejection, Reply};
use crate::mapping::Publication;

/// Publications that are kept for a slow observer; of more, the oldest are skipped. With [`LARGEST_EVENT`] this bounds the memory held for
/// an observer that has stopped reading to 32 MB.
const KEPT: usize = 512;
/// The largest event that observers see, in bytes.
const LARGEST_EVENT: usize = 64 * 1024;

/// A publication that was accepted or refused.
#[derive(Debug)]
pub struct Passed {
    /// The channel.
    pub channel: Arc<str>,
    /// The event; `None` if it is too large to show.
    pub event: Option<Box<[u8]>>,
    /// Why it was refused, if it was.
    pub refused: Option<Rejection>,
}

/// The observers of a publisher.
#[derive(Clone, Debug)]
pub struct Observers(broadcast::Sender<Arc<Passed>>);

impl Default for Observers {
    fn default() -> Self {
        Self(broadcast::Sender::new(KEPT))
    }
}

impl Observers {
    /// Adds an observer, which receives publications from now on.
    #[must_use]
    pub fn join(&self) -> broadcast::Receiver<Arc<Passed>> {
        self.0.subscribe()
    }
}

/// A publisher with observers. Without any, it costs only the check for them.
#[derive(Debug)]
pub struct Tap<P> {
    publisher: Arc<P>,
    observers: Observers,
}

impl<P> Tap<P> {
    /// Shows the publications to `publisher` to `observers`.
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
    struct Accepting;

    impl Publisher for Accepting {
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
    async fn an_observer_sees_publications_but_not_events_that_are_too_large_to_show() {
        let observers = Observers::default();
        let tap = Tap::new(Arc::new(Accepting), observers.clone());
        let mut observer = observers.join();
        let (largest, larger) = (publication(LARGEST_EVENT), publication(LARGEST_EVENT + 1));
        tap.publish(&[&largest, &larger]).await.unwrap();
        let seen = observer.recv().await.unwrap();
        assert_eq!(seen.event.as_deref(), Some(&*largest.event));
        assert_eq!(observer.recv().await.unwrap().event, None);
    }
}
