//! The relay: outbox window → change → mapping → publication → lane → publisher → settle (cursor | dead letter).
//!
//! One [`Relay`] leads at a time. While it does, four parts run concurrently: the intake reads windows and maps them, the lanes publish,
//! the ledger settles what the lanes have finished, and the resync publisher announces losses. Where rules read rows of other tables,
//! the intake looks these up for many changes together before it maps them. What is in flight between them is bounded by `IN_FLIGHT`
//! bytes. When a connection to PostgreSQL breaks, all of them are dropped, and a new leadership starts from the cursor in the database;
//! what was published but not settled is published again, under the same idempotency keys.

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
mod timer;
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
use timer::Timer;
use unknown::Unknown;

pub use health::{Health, Role};
pub use metrics::Metrics;
pub use redelivery::{Redelivery, redeliver};
pub use related::RelatedLoader;

/// The maximum bytes of publications between the intake and their settling: a few batches per lane, little next to the driver.
const IN_FLIGHT: usize = 4 << 20;
/// The number of lanes. Sixteen make smaller requests, which gained nothing with HTTP on two cores, and a tenth with gRPC.
const LANES: usize = 8;
/// How long a shutdown may take to drain what is in flight; the rest is published after the next start.
const GRACE: Duration = Duration::from_secs(10);
/// A leadership that lasted this long resets the backoff; shorter ones are retried less and less often.
const STABLE_TERM: Duration = Duration::from_secs(5);
/// How long PostgreSQL may be unreachable before a standby has most likely taken over, for which it needs five seconds.
const RESIGN_AFTER: Duration = Duration::from_secs(10);

/// A relay, with everything it needs to run.
#[derive(Debug)]
pub struct Relay<P> {
    /// The database URL, for direct connections.
    pub database: SecretString,
    /// The destination of publications.
    pub publisher: Arc<P>,
    /// The rules; a new value replaces them from the next page on.
    pub rules: watch::Receiver<Arc<Mapping>>,
    /// How long settled changes stay in the outbox.
    pub retention: Duration,
    /// How long rows of other tables are cached.
    pub related_ttl: Duration,
    /// The metrics, and the relay's health.
    pub metrics: Arc<Metrics>,
    /// Once cancelled, the relay stops reading, drains, writes the cursor and returns.
    pub shutdown: CancellationToken,
}

impl<P: Publisher> Relay<P> {
    /// Runs until the shutdown, through every transient failure.
    ///
    /// # Errors
    /// When only an operator can fix it: the URL, a pooler, a restored database.
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

    /// Becomes the leader, with a reader that continues at the cursor; `None` at a shutdown. `former` is this relay's previous term.
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
            // Another relay has led meanwhile, and subscribers here have not received what it published.
            self.publisher.lead(false);
        }
        let reader = Reader::open(&self.database, position).await?;
        if let Err(error) = reader.subscribe_to_announcements().await {
            warn!("changes are not announced, so each waits for the read that finds it: {error}");
        }
        // In this order: see `resign_when_cut_off`.
        self.metrics.health().becomes(Role::Leading);
        self.publisher.lead(true);
        info!(dozes = reader.can_doze(), "leading");
        Ok(Some((leader, reader)))
    }

    /// Starts the intake, the lanes and the resync publisher as tasks of their own, so that none waits for another's answers; the caller
    /// runs the ledger. The intake ends at the shutdown and drops the lanes' queues; the lanes end when these are empty, then the ledger.
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
            timer: Timer::new(),
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

/// The state that one leadership hands to the next.
struct Carryover {
    backoff: Backoff,
    /// The last term.
    term: Option<Term>,
    /// The changes passed over so far.
    unknown: Arc<Unknown>,
}

/// Notifies the publisher that this relay no longer leads once PostgreSQL has been unreachable for as long as a standby needs to take
/// over: otherwise subscribers here would wait in silence. Never completes.
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
                    // It became the leader at this very moment.
                    publisher.lead(true);
                }
                // Not again until the role has changed.
                while *roles.borrow_and_update() == Role::Reconnecting && roles.changed().await.is_ok() {}
                until = None;
            }
        }
    }
}

/// Completes when every task has, or with the first failure.
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

/// Completes when the grace period after a shutdown has passed.
async fn stopped(shutdown: &CancellationToken) {
    shutdown.cancelled().await;
    tokio::time::sleep(GRACE).await;
    warn!(
        "not everything could be published within {} s of the shutdown; the rest is published after the next start",
        GRACE.as_secs()
    );
}
