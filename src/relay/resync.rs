//! Losses: changes that the triggers gave up so that a write could go on, or that the relay passed over before its rules knew them. Subscribers are told to load again what they show.
//!
//! The intake brings their count with each window, and the [`ResyncPublisher`] tells a growth. It is a task of its own, so that a Centrifugo that is
//! down holds nothing up. The ledger, which has the leader's connection, remembers what was told.

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

/// While changes are lost one after the other, subscribers are told to reload at most this often.
const PACE: Duration = Duration::from_secs(5);
/// A loss whose transactions stay open for longer is told before they have ended, too. The relay may see their end five seconds later,
/// with its safety poll.
const LONG: Duration = Duration::from_secs(7);

/// Tells subscribers.
pub(super) struct ResyncPublisher<P> {
    /// What the intake has read; none before the first window.
    pub(super) lost: watch::Receiver<Option<Lost>>,
    /// The count that subscribers were told of.
    pub(super) announced: i64,
    /// Where a new one is remembered.
    pub(super) recorder: mpsc::Sender<i64>,
    pub(super) publisher: Arc<P>,
    pub(super) rules: watch::Receiver<Arc<Mapping>>,
    pub(super) shutdown: CancellationToken,
}

impl<P: Publisher> ResyncPublisher<P> {
    /// Tells each growth until the shutdown or the ledger's end. What is untold then is told after the next start.
    pub(super) async fn run(mut self) -> Result<(), Error> {
        let shutdown = self.shutdown.clone();
        tokio::select! {
            () = shutdown.cancelled() => {}
            _ = self.publish_all() => {}
        }
        Ok(())
    }

    /// Tells each growth once its transactions have ended: who reloads before that finds what was. Ends when the intake or the ledger has.
    async fn publish_all(&mut self) -> Option<()> {
        // The count that was told too early.
        let mut early = None;
        loop {
            let announced = self.announced;
            let is_news =
                |lost: &Option<Lost>| lost.is_some_and(|lost| lost.count != told && (lost.is_over || early != Some(lost.count)));
            let mut lost = (*self.lost.wait_for(is_news).await.ok()?)?;
            if lost.count < announced {
                // The sequence was set back or made anew: what it has counted since is news.
                self.record(0).await?;
                continue;
            }
            if early != Some(lost.count) {
                warn!(
                    lost = lost.count - announced,
                    "changes were lost; a warning before this one, or in PostgreSQL's log, says why, and subscribers are told to reload"
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

    /// Has the ledger remember the count that was told.
    async fn record(&mut self, announced: i64) -> Option<()> {
        self.announced = announced;
        self.recorder.send(announced).await.ok()
    }

    /// Publishes one resync a channel; false when there is something newer to tell before each of them has it.
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

    /// Publishes until each publication is taken or refused for good. False when what was `lost` is not the last of it any more: the channels
    /// that have taken theirs must not wait for one that fails, and to that one the newer word says as much. A count that was set back to
    /// nothing is no word.
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
