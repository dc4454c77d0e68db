//! The intake: reads windows, maps their changes, and hands the publications to the lanes.

mod progress;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::outlet::Outlet;
use super::pace::{Next, Pace};
use super::related::RelatedLoader;
use super::timer::Timer;
use crate::mapping::{Mapping, NoRelatedRows};
use crate::outbox::{Counted, Error, Lost, Position, Reader};
use progress::{Flow, Progress};

/// A missed notification is recovered by a read after this long, which also detects lost changes and a half-open connection.
const SAFETY_POLL: Duration = Duration::from_secs(5);
/// The first pause before the doze is retried while writers hold it up.
const FIRST_DOZE_RETRY: Duration = Duration::from_micros(300);
/// The longest of these pauses.
const LONGEST_DOZE_RETRY: Duration = Duration::from_millis(20);
/// The pause between reads where triggers may not notify.
const POLL: Duration = Duration::from_millis(20);

/// Reads and maps until the shutdown.
pub(super) struct Intake {
    pub(super) reader: Reader,
    pub(super) rules: watch::Receiver<Arc<Mapping>>,
    /// The rows of other tables that rules read.
    pub(super) related: RelatedLoader,
    pub(super) outlet: Outlet,
    /// The losses counted so far.
    pub(super) lost: watch::Sender<Option<Lost>>,
    pub(super) shutdown: CancellationToken,
    pub(super) doze: Doze,
    /// Its pauses.
    pub(super) timer: Timer,
}

/// The relay's sleep.
pub(super) struct Doze {
    /// Whether every commit of a change notifies.
    asleep: bool,
    /// The pause before the next attempt to doze.
    retry: Duration,
}

impl Default for Doze {
    fn default() -> Self {
        Self {
            asleep: false,
            retry: FIRST_DOZE_RETRY,
        }
    }
}

/// The summary of a page that was read.
struct Turn {
    changes: u64,
    /// Whether the window ended with it.
    ended: bool,
    /// The age of its last change at the read.
    age: Option<Duration>,
}

impl Turn {
    /// A page that was left, or that a shutdown cut short.
    const fn unfinished(changes: u64) -> Self {
        Self {
            changes,
            ended: false,
            age: None,
        }
    }
}

impl Intake {
    pub(super) async fn run(mut self) -> Result<(), Error> {
        let started = Instant::now();
        let mut pace = Pace::default();
        let mut read = 0;
        while !self.shutdown.is_cancelled() {
            let is_asleep = self.doze.asleep;
            let turn = self.page().await?;
            read += turn.changes;
            if let Some(age) = turn.age {
                pace.learn(age, is_asleep);
            }
            if turn.changes > 0 {
                self.doze.retry = FIRST_DOZE_RETRY;
            }
            if !turn.ended {
                self.end_doze();
                continue;
            }
            match pace.after(std::mem::take(&mut read), started.elapsed()) {
                // The doze ends with the next read, which must not wait either.
                Next::Read(pause) => {
                    if !self.end_doze() {
                        self.rest(pause).await;
                    }
                }
                Next::Doze => self.doze().await?,
            }
        }
        Ok(())
    }

    /// One step of a doze: falling asleep, or sleeping until a commit notifies. The relay stays asleep while events are rare, so that an
    /// event costs no more than the read that finds it, unless that read may take long.
    async fn doze(&mut self) -> Result<(), Error> {
        if self.doze.asleep {
            tokio::select! {
                notified = self.reader.notified() => {
                    notified?;
                    self.outlet.metrics.notifications.inc();
                }
                () = tokio::time::sleep(SAFETY_POLL) => {}
                () = self.shutdown.cancelled() => {}
            }
            let rules = Arc::clone(&self.rules.borrow());
            if self.may_wait(&rules) {
                self.end_doze();
            } else {
                self.take_announced(&rules).await?;
            }
        } else if !self.reader.can_doze() {
            self.rest(POLL).await;
        } else if self.reader.try_doze().await? {
            // Changes committed without a NOTIFY are visible by now and read next, without a wait; all later ones notify.
            self.doze.asleep = true;
            self.outlet.metrics.dozes.inc();
        } else {
            // An open transaction wrote changes and will not notify: keep reading until it has ended.
            self.rest(self.doze.retry).await;
            self.doze.retry = (self.doze.retry * 2).min(LONGEST_DOZE_RETRY);
        }
        Ok(())
    }

    /// Publishes the announced changes that nothing may precede. The read that follows finds them again, and skips them.
    async fn take_announced(&mut self, rules: &Arc<Mapping>) -> Result<(), Error> {
        while !self.outlet.is_full()
            && let Some(announcement) = self.reader.announced()
        {
            let Some((change, transaction)) = announcement.change() else {
                continue;
            };
            if self.reader.admit(&change) {
                self.outlet.take(rules, &change, || Ok(transaction), &NoRelatedRows)?;
                self.outlet.metrics.announced.inc();
            }
        }
        if self.outlet.has_outcomes() {
            self.outlet.hand_on(self.reader.position(), &self.shutdown).await;
            // Yield to the lanes: their request should leave before the read's query does, or PostgreSQL would take the core it needs.
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Whether the next read may have to wait for Centrifugo or for a locked table, while commits would keep notifying.
    fn may_wait(&self, rules: &Mapping) -> bool {
        self.outlet.is_crowded() || !rules.lookups().is_empty()
    }

    /// Ends the doze with the next read; false if there is no doze.
    const fn end_doze(&mut self) -> bool {
        let was_asleep = std::mem::replace(&mut self.doze.asleep, false);
        if was_asleep {
            self.reader.wake();
        }
        was_asleep
    }

    async fn rest(&self, pause: Duration) {
        tokio::select! {
            () = self.timer.sleep(pause) => {}
            () = self.shutdown.cancelled() => {}
        }
    }

    /// Reads one page into the pipeline.
    async fn page(&mut self) -> Result<Turn, Error> {
        let rules = Arc::clone(&self.rules.borrow());
        self.count_unknown_as_loss(&rules).await?;
        let Self {
            reader,
            related,
            outlet,
            shutdown,
            ..
        } = self;
        // A page that was left may have set this.
        outlet.metrics.health().reading(None);
        let mut page = reader.page().await?;
        let mut progress = Progress::new(&rules, outlet, shutdown);
        let flow = progress.read(&mut page, related).await?;
        let Progress { changes, last, .. } = progress;
        match flow {
            Flow::Continue => {}
            Flow::Shutdown => return Ok(Turn::unfinished(changes)),
            Flow::LeavePage(position) => {
                drop(page);
                outlet.end(changes, false);
                self.hand_on(position).await?;
                return Ok(Turn::unfinished(changes));
            }
        }
        let continues = page.continues();
        let (rest, ended) = match last {
            Some((id, _)) => (Some(page.after(outlet.reached(id))?), page.end(Some(id)).await?),
            None => (None, page.end(None).await?),
        };
        let has_ended = ended.is_some();
        outlet.end(changes, has_ended);
        // A window without changes moves only the cursor in memory: writing it would make an idle relay write for ever. The last page of
        // a window with changes may be empty.
        if let Some(position) = ended.filter(|_| changes > 0 || continues || outlet.has_outcomes()).or(rest) {
            self.hand_on(position).await?;
        }
        let losses = self.reader.lost();
        self.lost.send_if_modified(|known| std::mem::replace(known, losses) != losses);
        let age = last.map(|(_, at)| self.reader.read_at().duration_since(at));
        Ok(Turn {
            changes,
            ended: has_ended,
            age: age.and_then(|age| age.try_into().ok()),
        })
    }

    /// Counts a loss if `rules` cover sources that were passed over before, so that subscribers are told to reload what they show.
    async fn count_unknown_as_loss(&self, rules: &Mapping) -> Result<(), Error> {
        let known = self.outlet.unknown.known_to(rules);
        if known.is_empty() {
            return Ok(());
        }
        let sources = known.join(", ");
        match self.reader.count_loss().await? {
            Counted::Yes => warn!(
                sources,
                "changes were passed over before the rules covered them, which counts as a loss; `instant replay` sends them"
            ),
            Counted::Forbidden => warn!(
                sources,
                "changes were passed over before the rules covered them, and nobody is told to reload, since the relay's role may not \
                 count a loss: run `instant apply`; `instant replay` sends them"
            ),
            Counted::Locked => {
                warn!(
                    sources,
                    "changes were passed over before the rules covered them, and nobody is told to reload yet, since the sequence \
                     `instant.lost` is locked: look for a transaction that has altered it; `instant replay` sends them"
                );
                self.outlet.unknown.postpone();
                return Ok(());
            }
        }
        self.outlet.unknown.clear(&known);
        Ok(())
    }

    /// Hands on the rest of a page. If that may wait for Centrifugo, the doze ends first: otherwise commits would keep notifying.
    async fn hand_on(&mut self, position: Position) -> Result<(), Error> {
        if self.doze.asleep && !self.outlet.fits() {
            self.reader.wake_now().await?;
            self.doze.asleep = false;
        }
        self.outlet.hand_on(position, &self.shutdown).await;
        Ok(())
    }
}
