//! The ledger: the chunks in flight, and how far everything before them is settled.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::Instant;

use super::metrics::Metrics;
use crate::mapping::Publication;
use crate::outbox::{DeadLetter, Error, Leader, Position};

/// The minimum time between writes of the cursor: each write leaves a dead version of its row.
const CURSOR_PACE: Duration = Duration::from_millis(100);
/// The time between purges when there is little to purge, as a fraction of the retention …
const PURGE_SHARE: u32 = 20;
/// … but no shorter than this …
const SHORTEST_PURGE_PACE: Duration = Duration::from_secs(1);
/// … and no longer than this.
const LONGEST_PURGE_PACE: Duration = Duration::from_mins(5);

/// An entry in the ledger.
#[derive(Debug)]
pub(super) enum Entry {
    /// A chunk of changes that was taken in.
    Chunk(Chunk),
    /// Publications that a lane finished.
    Finished(Finished),
}

/// Consecutive changes of the outbox, and what they became.
#[derive(Debug)]
pub(super) struct Chunk {
    /// Its number; chunks are numbered without gaps.
    pub(super) number: u64,
    /// When the first of its changes was written.
    pub(super) since: Timestamp,
    /// The position once the chunk is settled.
    pub(super) position: Position,
    /// Publications that no lane has finished yet.
    pub(super) pending: usize,
    /// The letters that the mapping parked.
    pub(super) letters: Vec<DeadLetter>,
    /// The chunk's share of the bytes in flight, given back as its publications are finished.
    pub(super) room: OwnedSemaphorePermit,
}

impl Chunk {
    const fn is_finished(&self) -> bool {
        self.pending == 0
    }

    /// Releases the room of publications, or what is left of it: a chunk larger than all the room holds less than its bytes.
    fn give_back(&mut self, bytes: usize) {
        drop(self.room.split(bytes.min(self.room.num_permits())));
    }
}

/// The publications that a lane finished.
#[derive(Debug, Default)]
pub(super) struct Finished {
    /// The number of publications and their bytes, by chunk.
    counts: BTreeMap<u64, (usize, usize)>,
    /// The letters that the lane parked.
    pub(super) letters: Vec<DeadLetter>,
}

impl Finished {
    /// Counts one more publication of a chunk.
    pub(super) fn count(&mut self, chunk: u64, publication: &Publication) {
        let (count, bytes) = self.counts.entry(chunk).or_default();
        *count += 1;
        *bytes += publication.weight();
    }
}

/// Moves the cursor past finished chunks, in order.
pub(super) struct Ledger {
    leader: Leader,
    entries: mpsc::Receiver<Entry>,
    retention: Duration,
    /// The unsettled chunks, by number. Of consecutive finished chunks only the last is kept, since its position covers them all:
    /// however long one publication waits, the chunks finished after it take no memory.
    open: BTreeMap<u64, Chunk>,
    /// The furthest settled position that is not written yet.
    settled: Option<Position>,
    /// The position that was written last.
    written: Option<Position>,
    /// Dead letters that are not written yet.
    letters: Vec<DeadLetter>,
    written_at: Instant,
    /// The counts of losses that were announced to subscribers.
    announced: mpsc::Receiver<i64>,
    metrics: Arc<Metrics>,
}

impl Ledger {
    pub(super) fn new(
        leader: Leader,
        entries: mpsc::Receiver<Entry>,
        retention: Duration,
        announced: mpsc::Receiver<i64>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let (open, letters) = (BTreeMap::new(), Vec::new());
        Self {
            leader,
            entries,
            retention,
            open,
            settled: None,
            written: None,
            letters,
            written_at: Instant::now(),
            announced,
            metrics,
        }
    }

    /// Settles until everything that feeds it has ended; returns the leader for its last step.
    pub(super) async fn run(mut self) -> Result<Leader, Error> {
        let mut purge_at = Instant::now() + SHORTEST_PURGE_PACE;
        loop {
            let write_at = self.written_at + CURSOR_PACE;
            tokio::select! {
                biased;
                error = self.leader.closed() => return Err(error),
                () = self.leader.called() => self.leader.answer().await?,
                () = tokio::time::sleep_until(write_at), if self.has_news() => self.write().await?,
                entry = self.entries.recv() => match entry {
                    Some(entry) => self.enter(entry),
                    None => break,
                },
                Some(announced) = self.announced.recv() => self.leader.record_announced(announced).await?,
                () = tokio::time::sleep_until(purge_at) => {
                    let more = self.leader.purge(self.retention).await?;
                    let pace = (self.retention / PURGE_SHARE).clamp(SHORTEST_PURGE_PACE, LONGEST_PURGE_PACE);
                    purge_at = Instant::now() + if more { CURSOR_PACE } else { pace };
                }
            }
        }
        self.write().await?;
        Ok(self.leader)
    }

    fn enter(&mut self, entry: Entry) {
        match entry {
            Entry::Chunk(mut chunk) => {
                self.letters.append(&mut chunk.letters);
                let number = chunk.number;
                self.open.insert(number, chunk);
                self.close(number);
            }
            Entry::Finished(finished) => {
                self.letters.extend(finished.letters);
                for (number, (count, bytes)) in finished.counts {
                    if let Some(chunk) = self.open.get_mut(&number) {
                        chunk.pending -= count;
                        chunk.give_back(bytes);
                        self.close(number);
                    }
                }
            }
        }
        while let Some(first) = self.open.first_entry()
            && first.get().is_finished()
        {
            let position = first.remove().position;
            // Announced changes have the position before them, and settle nothing until they are read.
            if self.written.as_ref() != Some(&position) {
                self.settled = Some(position);
            }
        }
        self.metrics
            .health()
            .unsettled(self.open.first_key_value().map(|(_, chunk)| chunk.since));
    }

    /// Closes a chunk if it is finished: releases its room, and keeps only the last of it and its finished neighbours.
    fn close(&mut self, number: u64) {
        let Some(chunk) = self.open.get_mut(&number).filter(|chunk| chunk.is_finished()) else {
            return;
        };
        chunk.give_back(usize::MAX);
        let before = self.open.range(..number).next_back();
        let before = before.filter(|(_, chunk)| chunk.is_finished()).map(|(before, _)| *before);
        if let Some(before) = before {
            self.open.remove(&before);
        }
        let mut behind = self.open.range((Bound::Excluded(number), Bound::Unbounded));
        if behind.next().is_some_and(|(_, chunk)| chunk.is_finished()) {
            self.open.remove(&number);
        }
    }

    const fn has_news(&self) -> bool {
        self.settled.is_some() || !self.letters.is_empty()
    }

    async fn write(&mut self) -> Result<(), Error> {
        if self.has_news() {
            self.leader.settle(self.settled.as_ref(), &self.letters).await?;
            if let Some(settled) = self.settled.take() {
                self.written = Some(settled);
            }
            self.letters.clear();
            self.written_at = Instant::now();
        }
        Ok(())
    }
}
