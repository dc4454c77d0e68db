//! The outlet: passes what the intake has mapped to the lanes and the ledger, chunk by chunk.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::IN_FLIGHT;
use super::assignment::{Assignment, Channel};
use super::lane::Item;
use super::ledger::{Chunk, Entry};
use super::letter::parked;
use super::metrics::Metrics;
use super::unknown::Unknown;
use crate::change::Change;
use crate::mapping::{Collapse, Mapping, Outcome, Publication, RelatedRows};
use crate::outbox::{Error, Position};

/// A chunk is handed on when it holds this many changes …
const CHUNK_CHANGES: usize = 200;
/// … or this many bytes, whichever comes first.
const CHUNK_BYTES: usize = 256 << 10;
/// How long a statement may stay open without room for what it reads; the server ends a connection that reads nothing for 6 s.
const ROOM_TIMEOUT: Duration = Duration::from_secs(3);

/// The sending ends of the pipeline, separate from the reader so that both can be borrowed at the same time.
pub(super) struct Outlet {
    lanes: Vec<mpsc::UnboundedSender<Item>>,
    assignment: Arc<Assignment>,
    ledger: mpsc::Sender<Entry>,
    /// The bytes that may still be in flight.
    budget: Arc<Semaphore>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) unknown: Arc<Unknown>,
    outcomes: Vec<Outcome>,
    /// The publications that wait for the window's end, since they may collapse with others.
    collapse: Collapse,
    bytes: usize,
    changes: usize,
    /// When the first of the chunk's changes was written.
    since: Option<Timestamp>,
    /// The changes of the window so far.
    window: u64,
    number: u64,
}

impl Outlet {
    pub(super) fn new(
        lanes: Vec<mpsc::UnboundedSender<Item>>,
        assignment: Arc<Assignment>,
        ledger: mpsc::Sender<Entry>,
        metrics: Arc<Metrics>,
        unknown: Arc<Unknown>,
    ) -> Self {
        Self {
            lanes,
            assignment,
            ledger,
            budget: Arc::new(Semaphore::new(IN_FLIGHT)),
            metrics,
            unknown,
            outcomes: Vec::new(),
            collapse: Collapse::default(),
            bytes: 0,
            changes: 0,
            since: None,
            window: 0,
            number: 0,
        }
    }

    /// Maps a change; `transaction` returns the one that wrote it, if that matters.
    pub(super) fn take(
        &mut self,
        rules: &Arc<Mapping>,
        change: &Change<'_>,
        transaction: impl FnOnce() -> Result<u64, Error>,
        related: &dyn RelatedRows,
    ) -> Result<(), Error> {
        let before = self.outcomes.len();
        if !rules.map(change, related, &mut self.outcomes) {
            self.metrics.unknown.inc();
            self.unknown.pass(change.source);
        }
        if rules.collapses() || !self.collapse.is_empty() {
            self.collapse.take(rules, transaction()?, &mut self.outcomes, before);
        }
        self.changes += 1;
        self.since.get_or_insert(change.at);
        self.bytes += self.outcomes[before..].iter().map(size).sum::<usize>();
        Ok(())
    }

    /// The last change before everything held for the window's end, once the change `id` was taken.
    pub(super) fn reached(&self, id: i64) -> i64 {
        self.collapse.earliest().map_or(id, |(first, _)| id.min(first - 1))
    }

    /// Counts the changes of a page. If its window ended with it, releases what was held.
    pub(super) fn end(&mut self, changes: u64, has_ended: bool) {
        self.metrics.changes.inc_by(changes);
        self.window += changes;
        if !has_ended {
            return;
        }
        if self.window > 0 {
            let window = u32::try_from(std::mem::take(&mut self.window)).unwrap_or(u32::MAX);
            self.metrics.windows.observe(f64::from(window));
        }
        if let Some((_, at)) = self.collapse.earliest() {
            let before = self.outcomes.len();
            self.collapse.release(&mut self.outcomes);
            self.since = Some(self.since.map_or(at, |since| since.min(at)));
            self.bytes += self.outcomes[before..].iter().map(size).sum::<usize>();
        }
    }

    pub(super) const fn has_outcomes(&self) -> bool {
        !self.outcomes.is_empty()
    }

    /// Whether little room is left, since the publisher is slow or unavailable.
    pub(super) fn is_crowded(&self) -> bool {
        self.budget.available_permits() < IN_FLIGHT / 2
    }

    pub(super) const fn is_full(&self) -> bool {
        self.changes >= CHUNK_CHANGES || self.bytes >= CHUNK_BYTES
    }

    /// Whether there is room for the chunk now.
    pub(super) fn fits(&self) -> bool {
        self.budget.available_permits() >= self.bytes.min(IN_FLIGHT)
    }

    /// Whether there is room for the chunk within [`ROOM_TIMEOUT`]; true at a shutdown, when none is needed.
    pub(super) async fn has_room(&self, shutdown: &CancellationToken) -> bool {
        tokio::select! {
            _ = self.room() => true,
            () = shutdown.cancelled() => true,
            () = tokio::time::sleep(ROOM_TIMEOUT) => false,
        }
    }

    /// Hands the chunk on once there is room for it; false at a shutdown, when it is dropped and read again after the next start.
    pub(super) async fn hand_on(&mut self, position: Position, shutdown: &CancellationToken) -> bool {
        let room = tokio::select! {
            biased;
            () = shutdown.cancelled() => None,
            room = self.room() => room,
        };
        let next = Vec::with_capacity(self.outcomes.len());
        let outcomes = std::mem::replace(&mut self.outcomes, next);
        (self.bytes, self.changes) = (0, 0);
        let since = self.since.take().unwrap_or_else(Timestamp::now);
        let Some(room) = room else { return false };
        self.metrics.collapsed.inc_by(self.collapse.merged());
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
        let chunk = Chunk {
            number,
            since,
            position,
            pending: outcomes.iter().filter(|outcome| outcome.is_ok()).count(),
            letters,
            room,
        };
        // Before its publications: the ledger must have the chunk when the first of them is finished.
        if self.ledger.send(Entry::Chunk(chunk)).await.is_err() {
            return false;
        }
        let mut under_way = self.assignment.lock();
        for publication in outcomes.into_iter().flatten() {
            let channel = Channel::new(&publication.channel);
            // A lane ends only with the whole leadership.
            let _ = self.lanes[under_way.begin(channel)].send(Item {
                chunk: number,
                channel,
                publication,
                attempts: 0,
            });
        }
        true
    }

    /// Waits for room for the chunk; one that is larger than all the room takes the whole of it.
    async fn room(&self) -> Option<OwnedSemaphorePermit> {
        let bytes = u32::try_from(self.bytes.min(IN_FLIGHT)).ok()?;
        Arc::clone(&self.budget).acquire_many_owned(bytes).await.ok()
    }
}

/// The bytes that an outcome counts for while it is in flight.
fn size(outcome: &Outcome) -> usize {
    match outcome {
        Ok(publication) => publication.weight(),
        Err(failure) => {
            Publication::OVERHEAD + failure.old.as_ref().map_or(0, String::len) + failure.new.as_ref().map_or(0, String::len)
        }
    }
}
