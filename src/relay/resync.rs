//! Losses: changes that the triggers gave up so that a write could continue, or that the relay passed over before its rules covered
//! them. Subscribers are told to reload what they show.
//!
//! The intake brings their count with each window, and the [`ResyncPublisher`] announces each increase. It is a task of its own, so that
//! an unavailable Centrifugo holds nothing up. The ledger, which has the leader's connection, records the count that was announced.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::backoff::Backoff;
use crate::mapping::{Mapping, Publication};
use crate::outbox::{Error, Lost};
use crate::publisher::{Directive, Publisher, deliver, directive};

/// The minimum time between resyncs while changes are lost one after the other.
const PACE: Duration = Duration::from_secs(5);
/// A loss whose transactions stay open for longer is also announced before they have ended. The relay may see their end five seconds
/// later, with its safety poll.
const LONG: Duration = Duration::from_secs(7);

/// Publishes a resync to every channel when changes were lost.
pub(super) struct ResyncPublisher<P> {
    /// The losses that the intake has read; `None` before the first window.
    pub(super) lost: watch::Receiver<Option<Lost>>,
    /// The count that was last announced to subscribers.
    pub(super) announced: i64,
    /// Sends a new one to the ledger, which stores it.
    pub(super) recorder: mpsc::Sender<i64>,
    pub(super) publisher: Arc<P>,
    pub(super) rules: watch::Receiver<Arc<Mapping>>,
    pub(super) shutdown: CancellationToken,
}

impl<P: Publisher> ResyncPublisher<P> {
    /// Announces each increase until the shutdown or the ledger's end. What is unannounced by then is announced after the next start.
    pub(super) async fn run(mut self) -> Result<(), Error> {
        let shutdown = self.shutdown.clone();
        tokio::select! {
            () = shutdown.cancelled() => {}
            _ = self.publish_all() => {}
        }
        Ok(())
    }

    /// Announces each increase once its transactions have ended: a client that reloads before that finds the old state. Completes when the
    /// intake or the ledger has ended.
    async fn publish_all(&mut self) -> Option<()> {
        // The count that was announced before its transactions had ended.
        let mut early = None;
        loop {
            let announced = self.announced;
            let is_news = |lost: &Option<Lost>| {
                lost.is_some_and(|lost| lost.count != announced && (lost.is_over || early != Some(lost.count)))
            };
            let mut lost = (*self.lost.wait_for(is_news).await.ok()?)?;
            if lost.count < announced {
                // The sequence was reset or recreated: everything it has counted since is new.
                self.record(0).await?;
                continue;
            }
            if early != Some(lost.count) {
                warn!(
                    lost = lost.count - announced,
                    "changes were lost; a warning before this one, or in PostgreSQL's log, gives the reason, and subscribers are \
                     told to reload"
                );
            }
            if !lost.is_over {
                let over = self.lost.wait_for(|lost| lost.is_none_or(|lost| lost.is_over));
                lost = match tokio::time::timeout(LONG, over).await {
                    Ok(over) => (*over.ok()?)?,
                    Err(_) => lost,
                };
            }
            let is_published = self.publish_resync(lost).await;
            if !lost.is_over {
                early = Some(lost.count);
            } else if is_published {
                self.record(lost.count).await?;
            }
            tokio::time::sleep(PACE).await;
        }
    }

    /// Has the ledger record the count that was announced.
    async fn record(&mut self, announced: i64) -> Option<()> {
        self.announced = announced;
        self.recorder.send(announced).await.ok()
    }

    /// Publishes one resync per channel; false if a newer loss must be announced before each channel has it.
    async fn publish_resync(&mut self, lost: Lost) -> bool {
        let publications = self.rules.borrow().resync(lost.count, Timestamp::now());
        let is_published = self.publish(publications.iter().collect(), lost).await;
        if is_published {
            info!(
                lost = lost.count,
                channels = publications.len(),
                "subscribers were told to reload"
            );
        }
        is_published
    }

    /// Publishes until each publication is taken or permanently refused. False once `lost` is outdated: the channels that have taken
    /// theirs must not wait for one that fails, and for that one the newer resync serves as well. A count that was reset to zero does not
    /// outdate it.
    async fn publish(&mut self, mut waiting: Vec<&Publication>, lost: Lost) -> bool {
        let mut backoff = Backoff::new();
        while !waiting.is_empty() {
            let delivery = deliver(&*self.publisher, &waiting).await;
            let mut again = waiting.split_off(delivery.replies.len());
            for (publication, reply) in waiting.into_iter().zip(delivery.replies) {
                match reply.map_err(|rejection| (directive(&rejection), rejection)) {
                    Ok(()) => {}
                    Err((Directive::Retry, _)) => again.push(publication),
                    Err((Directive::Park { hint }, rejection)) => {
                        warn!(channel = %publication.channel, hint, "a channel was not told to reload: {rejection}");
                    }
                }
            }
            waiting = again;
            let newer = self.lost.wait_for(|now| now.is_some_and(|now| now != lost && now.count > 0));
            if !waiting.is_empty() && tokio::time::timeout(backoff.next(), newer).await.is_ok() {
                return false;
            }
        }
        true
    }
}
