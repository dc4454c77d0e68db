//! Losses: changes that the triggers gave up so that a write could go on. Subscribers are told to load again what they show.
//!
//! The intake reads their count with each window. The ledger, which has the leader's connection, notices a loss and remembers what was
//! told; the [`Herald`] tells it meanwhile, so that a Centrifugo that is down holds nothing up.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::backoff::Backoff;
use crate::mapping::{Mapping, Publication};
use crate::outbox::{Error, Leader};
use crate::publisher::{Directive, Publisher, deliver, directive};

/// While changes are lost one after the other, subscribers are told to reload at most this often.
const PACE: Duration = Duration::from_secs(5);

/// The ledger's ends.
pub(super) struct Losses {
    counted: watch::Receiver<i64>,
    /// Not before this moment is the count looked at again.
    quiet_until: Instant,
    noticed: watch::Sender<i64>,
    told: mpsc::Receiver<i64>,
}

/// What becomes known of losses.
pub(super) enum News {
    /// The count is another.
    Counted,
    /// Subscribers have been told of this count.
    Told(i64),
}

/// Tells subscribers.
pub(super) struct Herald<P> {
    noticed: watch::Receiver<i64>,
    told: mpsc::Sender<i64>,
    publisher: Arc<P>,
    rules: watch::Receiver<Arc<Mapping>>,
    shutdown: CancellationToken,
}

/// The two, connected; `counted` changes with the count.
pub(super) fn losses<P: Publisher>(
    counted: watch::Receiver<i64>,
    publisher: Arc<P>,
    rules: watch::Receiver<Arc<Mapping>>,
    shutdown: CancellationToken,
) -> (Losses, Herald<P>) {
    let (noticed, noticing) = watch::channel(0);
    let (telling, told) = mpsc::channel(1);
    let herald = Herald {
        noticed: noticing,
        told: telling,
        publisher,
        rules,
        shutdown,
    };
    let losses = Losses {
        counted,
        quiet_until: Instant::now(),
        noticed,
        told,
    };
    (losses, herald)
}

impl Losses {
    /// Looks at the count; a loss that nobody was told of goes to the herald, once.
    pub(super) async fn look(&self, leader: &Leader) -> Result<(), Error> {
        let losses = leader.losses().await?;
        if losses.counted < losses.told {
            // The sequence was set back or made anew.
            return leader.told(losses.counted).await;
        }
        if losses.counted > losses.told
            && self.noticed.send_if_modified(|noticed| {
                let is_news = *noticed != losses.counted;
                *noticed = losses.counted;
                is_news
            })
        {
            warn!(
                lost = losses.counted - losses.told,
                "changes were lost so that writes could go on; PostgreSQL's log says why, and subscribers are told to reload"
            );
        }
        Ok(())
    }

    /// What the intake or the herald says next; never once both have ended.
    pub(super) async fn news(&mut self) -> News {
        let Self {
            counted,
            quiet_until,
            told,
            ..
        } = self;
        let counted = async {
            tokio::time::sleep_until(*quiet_until).await;
            counted.changed().await
        };
        tokio::select! {
            Ok(()) = counted => {
                *quiet_until = Instant::now() + PACE;
                News::Counted
            }
            Some(lost) = told.recv() => News::Told(lost),
            else => std::future::pending().await,
        }
    }
}

impl<P: Publisher> Herald<P> {
    /// Tells each loss once, until the shutdown or the ledger's end. What is untold then is told after the next start.
    pub(super) async fn run(mut self) -> Result<(), Error> {
        let shutdown = self.shutdown.clone();
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.tell_all() => {}
        }
        Ok(())
    }

    async fn tell_all(&mut self) {
        while self.noticed.changed().await.is_ok() {
            let lost = *self.noticed.borrow_and_update();
            let publications = self.rules.borrow().resync(lost, Timestamp::now());
            self.tell(publications.iter().collect()).await;
            info!(lost, channels = publications.len(), "subscribers were told to reload");
            if self.told.send(lost).await.is_err() {
                return;
            }
        }
    }

    /// Publishes until each publication is taken or refused for good.
    async fn tell(&self, mut waiting: Vec<&Publication>) {
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
            if !waiting.is_empty() {
                tokio::time::sleep(backoff.next()).await;
            }
        }
    }
}
