//! The intake: reads windows, maps their changes, and hands the publications to the lanes.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::IN_FLIGHT;
use super::lane::Item;
use super::ledger::{Chunk, Entry, OVERHEAD, parked, weight};
use super::metrics::Metrics;
use super::pace::{Next, Pace};
use super::related::Related;
use crate::change::Change;
use crate::mapping::{Mapping, NoRows, Outcome, Rows};
use crate::outbox::{ChangeRow, Error, Position, Reader};

/// A chunk is handed on when it holds this many changes …
const CHUNK_CHANGES: usize = 200;
/// … or this many bytes, whichever comes first.
const CHUNK_BYTES: usize = 256 << 10;
/// A missed notification is made good by a read this long after; it is also what notices a half-open connection.
const SAFETY_POLL: Duration = Duration::from_secs(10);
/// The first pause before the doze is tried again while writers hold it up, and the longest.
const RETRY_DOZE: (Duration, Duration) = (Duration::from_micros(500), Duration::from_millis(20));
/// The pause between reads where triggers may not notify.
const POLL: Duration = Duration::from_millis(20);

/// Reads and maps until the shutdown.
pub(super) struct Intake {
    pub(super) reader: Reader,
    pub(super) rules: watch::Receiver<Arc<Mapping>>,
    /// What rules read of other tables.
    pub(super) related: Related,
    pub(super) lanes: Vec<mpsc::UnboundedSender<Item>>,
    pub(super) ledger: mpsc::Sender<Entry>,
    /// The bytes that may still be in flight.
    pub(super) budget: Arc<Semaphore>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) shutdown: CancellationToken,
}

/// The ends of the pipeline, apart from the reader so that both can be borrowed at once.
struct Outlet<'a> {
    lanes: &'a [mpsc::UnboundedSender<Item>],
    ledger: &'a mpsc::Sender<Entry>,
    budget: &'a Arc<Semaphore>,
    metrics: &'a Metrics,
    outcomes: Vec<Outcome>,
    bytes: usize,
    changes: usize,
    /// When the first of them was written.
    since: Option<Timestamp>,
    /// The changes of the window so far.
    window: u64,
    number: u64,
}

impl Intake {
    pub(super) async fn run(mut self) -> Result<(), Error> {
        let started = Instant::now();
        let mut pace = Pace::default();
        let mut outlet = Outlet {
            lanes: &self.lanes,
            ledger: &self.ledger,
            budget: &self.budget,
            metrics: &self.metrics,
            outcomes: Vec::new(),
            bytes: 0,
            changes: 0,
            since: None,
            window: 0,
            number: 0,
        };
        let mut read = 0;
        loop {
            let (changes, ended) = page(&mut self.reader, &self.rules, &mut self.related, &self.shutdown, &mut outlet).await?;
            read += changes;
            if self.shutdown.is_cancelled() {
                return Ok(());
            }
            if !ended {
                continue;
            }
            let next = pace.after(std::mem::take(&mut read), started.elapsed());
            let pause = match next {
                Next::Read(pause) => pause,
                Next::Doze if !self.reader.can_doze() => POLL,
                Next::Doze => {
                    read += doze(&mut self.reader, &self.rules, &mut self.related, &self.shutdown, &mut outlet).await?;
                    continue;
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.shutdown.cancelled() => return Ok(()),
            }
        }
    }
}

/// Sleeps until a commit notifies. Returns how many changes were read on the way into the sleep.
async fn doze(
    reader: &mut Reader,
    rules: &watch::Receiver<Arc<Mapping>>,
    related: &mut Related,
    shutdown: &CancellationToken,
    outlet: &mut Outlet<'_>,
) -> Result<u64, Error> {
    let mut pause = RETRY_DOZE.0;
    while !reader.try_doze().await? {
        // A transaction is under way that wrote changes and will not notify: read on until it has ended.
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shutdown.cancelled() => return Ok(0),
        }
        let (changes, ended) = page(reader, rules, related, shutdown, outlet).await?;
        if changes > 0 || !ended {
            return Ok(changes);
        }
        pause = (pause * 2).min(RETRY_DOZE.1);
    }
    outlet.metrics.dozes.inc();
    // Whatever was committed without a NOTIFY is visible by now, and whatever comes later notifies.
    let (changes, ended) = page(reader, rules, related, shutdown, outlet).await?;
    if changes == 0 && ended {
        tokio::select! {
            notified = reader.notified() => {
                notified?;
                outlet.metrics.notifications.inc();
            }
            () = tokio::time::sleep(SAFETY_POLL) => {}
            () = shutdown.cancelled() => {}
        }
    }
    reader.wake().await?;
    Ok(changes)
}

/// Reads one page into the pipeline. Returns how many changes it had, and whether the window ended with it.
async fn page(
    reader: &mut Reader,
    rules: &watch::Receiver<Arc<Mapping>>,
    related: &mut Related,
    shutdown: &CancellationToken,
    outlet: &mut Outlet<'_>,
) -> Result<(u64, bool), Error> {
    let rules = Arc::clone(&rules.borrow());
    let mut page = reader.page().await?;
    let (mut last, mut changes) = (None, 0);
    if rules.lookups().is_empty() {
        while let Some(row) = page.next().await? {
            let change = row.change()?;
            outlet.take(&rules, &change, &NoRows);
            changes += 1;
            last = Some(change.id);
            if outlet.is_full() && !outlet.hand_on(page.after(change.id)?, shutdown).await {
                return Ok((changes, false));
            }
        }
    } else {
        let mut goes_on = true;
        while goes_on {
            let (rows, more) = related.gather(&mut page).await?;
            goes_on = more;
            let batch = rows.iter().map(ChangeRow::change).collect::<Result<Vec<_>, _>>()?;
            outlet.metrics.health().reading(batch.first().map(|change| change.at));
            tokio::select! {
                prepared = related.prepare(&rules, &batch) => prepared?,
                // A table that is locked is waited for without an end.
                () = shutdown.cancelled() => return Ok((changes, false)),
            }
            for change in &batch {
                outlet.take(&rules, change, related.rows());
                changes += 1;
                if outlet.is_full() && !outlet.hand_on(page.after(change.id)?, shutdown).await {
                    return Ok((changes, false));
                }
            }
            last = batch.last().map(|change| change.id).or(last);
            outlet.metrics.health().reading(None);
        }
    }
    let (rest, ended) = match last {
        Some(id) => (Some(page.after(id)?), page.end(last).await?),
        None => (None, page.end(last).await?),
    };
    let has_ended = ended.is_some();
    outlet.count(changes, has_ended);
    // A window without changes moves only the memory's cursor: writing it would make an idle relay write for ever.
    if let Some(position) = ended.filter(|_| changes > 0).or(rest) {
        outlet.hand_on(position, shutdown).await;
    }
    Ok((changes, has_ended))
}

impl Outlet<'_> {
    fn take(&mut self, rules: &Mapping, change: &Change<'_>, related: &dyn Rows) {
        let before = self.outcomes.len();
        rules.map(change, related, &mut self.outcomes);
        self.changes += 1;
        self.since.get_or_insert(change.at);
        self.bytes += self.outcomes[before..].iter().map(size).sum::<usize>();
    }

    /// Counts the changes of a page, and those of its window when that has ended.
    fn count(&mut self, changes: u64, has_ended: bool) {
        self.metrics.changes.inc_by(changes);
        self.window += changes;
        if has_ended && self.window > 0 {
            let window = u32::try_from(std::mem::take(&mut self.window)).unwrap_or(u32::MAX);
            self.metrics.windows.observe(f64::from(window));
        }
    }

    const fn is_full(&self) -> bool {
        self.changes >= CHUNK_CHANGES || self.bytes >= CHUNK_BYTES
    }

    /// Hands the chunk on once there is room for it; false at a shutdown, when it is dropped and read again after the next start.
    async fn hand_on(&mut self, position: Position, shutdown: &CancellationToken) -> bool {
        let room = tokio::select! {
            biased;
            () = shutdown.cancelled() => None,
            room = self.room() => room,
        };
        let outcomes = std::mem::take(&mut self.outcomes);
        (self.bytes, self.changes) = (0, 0);
        let since = self.since.take().unwrap_or_else(Timestamp::now);
        let Some(room) = room else { return false };
        let number = self.number;
        self.number += 1;
        let letters = outcomes
            .iter()
            .filter_map(|outcome| outcome.as_ref().err())
            .map(|failure| {
                self.metrics.parked(&failure.origin.rule);
                parked(failure)
            })
            .collect();
        let publications: Vec<_> = outcomes.into_iter().flatten().collect();
        let chunk = Chunk {
            number,
            since,
            position,
            pending: publications.len(),
            letters,
            room,
        };
        // Before its publications: the ledger must know a chunk when the first of them is finished.
        if self.ledger.send(Entry::Chunk(chunk)).await.is_err() {
            return false;
        }
        for publication in publications {
            let lane = lane_of(&publication.channel, self.lanes.len());
            // A lane ends only with the whole leadership.
            let _ = self.lanes[lane].send(Item {
                chunk: number,
                publication,
            });
        }
        true
    }

    /// Room for the chunk; one that is larger than all the room there is takes the whole of it.
    async fn room(&self) -> Option<OwnedSemaphorePermit> {
        let bytes = u32::try_from(self.bytes.min(IN_FLIGHT)).ok()?;
        Arc::clone(self.budget).acquire_many_owned(bytes).await.ok()
    }
}

/// The lane of a channel: always the same, so that a channel's publications stay in order.
fn lane_of(channel: &str, lanes: usize) -> usize {
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(channel);
    usize::try_from(hash % lanes as u64).unwrap_or_default()
}

/// What an outcome weighs while it is in flight.
fn size(outcome: &Outcome) -> usize {
    match outcome {
        Ok(publication) => weight(publication),
        Err(failure) => OVERHEAD + failure.old.as_ref().map_or(0, String::len) + failure.new.as_ref().map_or(0, String::len),
    }
}
