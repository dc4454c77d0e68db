//! The relay: outbox window → change → mapping → publication → lane → publisher → settle (cursor | dead letter).
//!
//! One [`Relay`] leads at a time. While it does, three things run side by side: the intake reads windows and maps them, the lanes
//! publish, the ledger settles what the lanes have finished; the herald tells losses. Where rules read rows of other tables, the
//! intake looks these up for many changes at once before it maps them. What is between them is bounded by `IN_FLIGHT` bytes. When a
//! connection to PostgreSQL breaks, all three are dropped, and a new leadership starts from the cursor in the database; what was
//! published but not settled is published again, under the same idempotency keys.

mod assignment;
mod backoff;
mod health;
mod intake;
mod lane;
mod ledger;
mod letter;
mod metrics;
mod outlet;
mod pace;
mod redelivery;
mod related;
mod resync;
mod unknown;

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::mapping::Mapping;
use crate::outbox::{Error, Leader, Reader, Term};
use crate::publisher::Publisher;
use assignment::Assignment;
use backoff::Backoff;
use intake::{Doze, Intake};
use lane::Lane;
use ledger::Ledger;
use outlet::Outlet;
use resync::ResyncPublisher;
use unknown::Unknown;

pub use health::{Health, Role};
pub use metrics::Metrics;
pub use redelivery::{Redelivery, redeliver};
pub use related::RelatedLoader;

/// The bytes of publications between the intake and their settling. Enough for a few batches a lane, little beside the driver.
const IN_FLIGHT: usize = 4 << 20;
/// The lanes. Sixteen of them make smaller requests, which by HTTP gained nothing where there are two cores, and by gRPC a tenth.
const LANES: usize = 8;
/// How long a shutdown may take to drain what is in flight; what is left is published after the next start.
const GRACE: Duration = Duration::from_secs(10);
/// A leadership that lasted for so long was a good one; what ends every one at once is tried less and less often.
const STABLE_TERM: Duration = Duration::from_secs(5);
/// How long PostgreSQL may be away before a standby leads in all likelihood: it needs five seconds.
const RESIGN_AFTER: Duration = Duration::from_secs(10);

/// What a relay needs.
#[derive(Debug)]
pub struct Relay<P> {
    /// The database, a direct connection.
    pub database: SecretString,
    /// Where publications go.
    pub publisher: Arc<P>,
    /// The rules; a new value replaces them from the next page on.
    pub rules: watch::Receiver<Arc<Mapping>>,
    /// How long settled changes stay in the outbox.
    pub retention: Duration,
    /// How long rows of other tables are remembered.
    pub related_ttl: Duration,
    /// What is counted, and how the relay is.
    pub metrics: Arc<Metrics>,
    /// Cancelled: stop reading, drain, write the cursor, leave.
    pub shutdown: CancellationToken,
}

impl<P: Publisher> Relay<P> {
    /// Works until the shutdown, through every failure that passes.
    ///
    /// # Errors
    /// What only a person can fix: the URL, a pooler, a restored database.
    pub async fn run(self) -> Result<(), Error> {
        let resign = resign_when_cut_off(&*self.publisher, self.metrics.health().roles());
        tokio::select! {
            ended = self.work() => ended,
            () = resign => Ok(()),
        }
    }

    async fn work(&self) -> Result<(), Error> {
        let mut carryover = Carryover {
            backoff: Backoff::new(),
            term: None,
            unknown: Arc::default(),
        };
        loop {
            let led = tokio::select! {
                led = self.lead(&mut carryover) => led,
                () = stopped(&self.shutdown) => return Ok(()),
            };
            match led {
                Ok(()) => return Ok(()),
                Err(error) if error.is_transient() => {
                    self.metrics.health().becomes(Role::Reconnecting);
                    self.metrics.reconnections.inc();
                    let wait = carryover.backoff.next();
                    warn!(%error, "the relay starts again in {} ms", wait.as_millis());
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        () = self.shutdown.cancelled() => return Ok(()),
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Becomes the leader and leads until the shutdown or the first failure.
    async fn lead(&self, carryover: &mut Carryover) -> Result<(), Error> {
        let Some((leader, reader)) = self.elect(&mut carryover.term).await? else {
            return Ok(());
        };
        let since = Instant::now();
        let (mut tasks, ledger) = self.start(leader, reader, &carryover.unknown).await?;
        let led = tokio::try_join!(all(&mut tasks), ledger.run());
        // A leadership that failed has ended before the next one begins.
        tasks.shutdown().await;
        if since.elapsed() >= STABLE_TERM {
            carryover.backoff.reset();
        }
        let ((), leader) = led?;
        leader.step_down().await
    }

    /// Becomes the leader, which reads on where the cursor is; none at a shutdown. `former` is the term in which it led before.
    async fn elect(&self, former: &mut Option<Term>) -> Result<Option<(Leader, Reader)>, Error> {
        let elect = Leader::elect(&self.database, *former, || {
            info!("standby: another relay leads");
            self.publisher.lead(false);
            self.metrics.health().becomes(Role::Standby);
        });
        let leader = tokio::select! {
            leader = elect => leader?,
            () = self.shutdown.cancelled() => return Ok(None),
        };
        let position = leader.cursor().await?;
        let term = leader.begin_term().await?;
        if former.replace(term).is_some_and(|former| term.former != Some(former.since)) {
            // Another has led meanwhile, and whoever listens here has not heard what it published.
            self.publisher.lead(false);
        }
        let reader = Reader::open(&self.database, position).await?;
        if let Err(error) = reader.subscribe_to_announcements().await {
            warn!("changes are not announced, so that each waits for the read that finds it: {error}");
        }
        // In this order: see `resign_when_cut_off`.
        self.metrics.health().becomes(Role::Leading);
        self.publisher.lead(true);
        info!(dozes = reader.can_doze(), "leading");
        Ok(Some((leader, reader)))
    }

    /// Starts the intake, the lanes and the herald as tasks of their own, so that none waits for another's answers; the ledger is yet to
    /// run. The intake ends at the shutdown and drops the lanes' queues; the lanes end when these are empty, then the ledger.
    async fn start(
        &self,
        leader: Leader,
        reader: Reader,
        unknown: &Arc<Unknown>,
    ) -> Result<(JoinSet<Result<(), Error>>, Ledger), Error> {
        let (settled, settlements) = mpsc::channel(1024);
        let (lost, counted) = watch::channel(None);
        let (recorder, announced) = mpsc::channel(1);
        let assignment = Arc::new(Assignment::new(LANES));
        let (lanes, queues): (Vec<_>, Vec<_>) = (0..LANES).map(|_| mpsc::unbounded_channel()).unzip();
        let intake = Intake {
            reader,
            rules: self.rules.clone(),
            related: RelatedLoader::new(self.database.clone(), self.related_ttl),
            outlet: Outlet::new(
                lanes,
                Arc::clone(&assignment),
                settled.clone(),
                Arc::clone(&self.metrics),
                Arc::clone(unknown),
            ),
            lost,
            shutdown: self.shutdown.clone(),
            doze: Doze::default(),
        };
        let resync_publisher = ResyncPublisher {
            lost: counted,
            announced: leader.losses().await?.told,
            recorder,
            publisher: Arc::clone(&self.publisher),
            rules: self.rules.clone(),
            shutdown: self.shutdown.clone(),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(intake.run());
        for (number, queue) in queues.into_iter().enumerate() {
            let lane = Lane::new(
                number,
                queue,
                Arc::clone(&assignment),
                Arc::clone(&self.publisher),
                settled.clone(),
                Arc::clone(&self.metrics),
            );
            tasks.spawn(async {
                lane.run().await;
                Ok(())
            });
        }
        tasks.spawn(resync_publisher.run());
        let ledger = Ledger::new(leader, settlements, self.retention, announced, Arc::clone(&self.metrics));
        Ok((tasks, ledger))
    }
}

/// What one leadership leaves to the next.
struct Carryover {
    backoff: Backoff,
    /// When it was.
    term: Option<Term>,
    /// What it passed over.
    unknown: Arc<Unknown>,
}

/// Tells the publisher that this relay no longer leads once PostgreSQL has been away for as long as a standby needs to take over: whoever
/// listens here would wait in silence. Never ends.
async fn resign_when_cut_off<P: Publisher>(publisher: &P, mut roles: watch::Receiver<Role>) {
    let mut until = None;
    loop {
        let role = *roles.borrow_and_update();
        until = match role {
            Role::Reconnecting => until.or_else(|| Some(Instant::now() + RESIGN_AFTER)),
            _ => None,
        };
        tokio::select! {
            changed = roles.changed() => if changed.is_err() {
                std::future::pending::<()>().await;
            },
            () = tokio::time::sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {
                publisher.lead(false);
                if *roles.borrow() == Role::Leading {
                    // It came to lead in this very moment.
                    publisher.lead(true);
                }
                // Not again before the role has changed.
                while *roles.borrow_and_update() == Role::Reconnecting && roles.changed().await.is_ok() {}
                until = None;
            }
        }
    }
}

/// Ends when every task has, or with the first failure.
async fn all(tasks: &mut JoinSet<Result<(), Error>>) -> Result<(), Error> {
    while let Some(ended) = tasks.join_next().await {
        match ended {
            Ok(result) => result?,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => return Err(Error::Closed),
        }
    }
    Ok(())
}

/// Ends when the grace after a shutdown has passed.
async fn stopped(shutdown: &CancellationToken) {
    shutdown.cancelled().await;
    tokio::time::sleep(GRACE).await;
    warn!(
        "not everything could be published within {} s of the shutdown; the next start goes on with it",
        GRACE.as_secs()
    );
}
