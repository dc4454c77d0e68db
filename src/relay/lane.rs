//! A lane: publishes its channels' publications in order, one batch at a time.

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{Level, info, warn};

use super::assignment::{Assignment, Channel};
use super::backoff::Backoff;
use super::ledger::{Entry, Finished};
use super::letter::rejected;
use super::metrics::Metrics;
use crate::mapping::Publication;
use crate::publisher::{Directive, Publisher, Rejection, deliver, directive};

/// The maximum publications of a batch: beyond this Centrifugo gains little.
const BATCH: usize = 200;
/// The bytes at which a batch is full: a slow reply to a large one would outlast Centrifugo's write timeout.
const BATCH_BYTES: usize = 1 << 20;

/// A publication in flight.
#[derive(Debug)]
pub(super) struct Item {
    /// The chunk that waits for it.
    pub(super) chunk: u64,
    /// Its publication's channel, as in the assignment.
    pub(super) channel: Channel,
    pub(super) publication: Publication,
    /// How many times it was sent without being taken.
    pub(super) attempts: u32,
}

/// The publications of one request.
#[derive(Debug, Default)]
struct Batch {
    items: Vec<Item>,
    bytes: usize,
}

impl Batch {
    const fn has_room(&self) -> bool {
        self.items.len() < BATCH && self.bytes < BATCH_BYTES
    }

    fn push(&mut self, item: Item) {
        self.bytes += item.publication.event.len();
        self.items.push(item);
    }
}

/// Publishes what comes through its queue until the queue is closed and empty.
pub(super) struct Lane<P> {
    /// Its number in the assignment.
    number: usize,
    queue: mpsc::UnboundedReceiver<Item>,
    assignment: Arc<Assignment>,
    publisher: Arc<P>,
    ledger: mpsc::Sender<Entry>,
    metrics: Arc<Metrics>,
    /// Publications to be retried, and those after them on the same channels, in order.
    held: VecDeque<Item>,
    backoff: Backoff,
    /// When the held ones are due.
    retry_at: Instant,
}

impl<P: Publisher> Lane<P> {
    pub(super) fn new(
        number: usize,
        queue: mpsc::UnboundedReceiver<Item>,
        assignment: Arc<Assignment>,
        publisher: Arc<P>,
        ledger: mpsc::Sender<Entry>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            number,
            queue,
            assignment,
            publisher,
            ledger,
            metrics,
            held: VecDeque::new(),
            backoff: Backoff::new(),
            retry_at: Instant::now(),
        }
    }

    pub(super) async fn run(mut self) {
        while let Some(batch) = self.gather().await {
            let mut finished = Finished::default();
            self.publish(batch, &mut finished).await;
            if self.ledger.send(Entry::Finished(finished)).await.is_err() {
                return;
            }
        }
    }

    /// The next batch: retries that are due, then new publications. It takes what the queue has and never waits to fill up. `None` when
    /// the queue is closed and nothing is left.
    async fn gather(&mut self) -> Option<Vec<Item>> {
        let mut batch = Batch::default();
        loop {
            self.fill(&mut batch);
            if !batch.items.is_empty() {
                return Some(batch.items);
            }
            tokio::select! {
                item = self.queue.recv() => match item {
                    // What arrived with it must go with it.
                    Some(item) => self.sort_in(item, &mut batch),
                    None if self.held.is_empty() => return None,
                    None => tokio::time::sleep_until(self.retry_at).await,
                },
                () = tokio::time::sleep_until(self.retry_at), if !self.held.is_empty() => {}
            }
        }
    }

    /// Takes retries that are due, then new publications.
    fn fill(&mut self, batch: &mut Batch) {
        if Instant::now() >= self.retry_at {
            while batch.has_room()
                && let Some(item) = self.held.pop_front()
            {
                batch.push(item);
            }
        }
        while batch.has_room()
            && let Ok(item) = self.queue.try_recv()
        {
            self.sort_in(item, batch);
        }
    }

    /// Puts a new publication into the batch, or after the held ones of its channel.
    fn sort_in(&mut self, item: Item, batch: &mut Batch) {
        if self.held.iter().any(|held| held.channel == item.channel) {
            self.held.push_back(item);
        } else {
            batch.push(item);
        }
    }

    /// Publishes a batch until each of its items is published, parked or held.
    async fn publish(&mut self, mut batch: Vec<Item>, finished: &mut Finished) {
        while !batch.is_empty() {
            self.metrics
                .batches
                .observe(f64::from(u32::try_from(batch.len()).unwrap_or(u32::MAX)));
            let publications: Vec<_> = batch.iter().map(|item| &item.publication).collect();
            let delivery = deliver(&*self.publisher, &publications).await;
            let rest = batch.split_off(delivery.replies.len());
            batch = if batch.is_empty() {
                rest
            } else {
                let retry = self.sort(batch, delivery.replies, finished);
                self.hold(retry, rest)
            };
            self.assignment.lock().hold_up(self.number, delivery.interrupted.is_some());
            if let Some(interrupted) = delivery.interrupted {
                let wait = self.backoff.next();
                self.metrics.retries.inc_by(batch.len() as u64);
                for item in &mut batch {
                    item.attempts += 1;
                }
                let (attempts, hint) = (self.backoff.attempts(), interrupted.hint());
                warn!(
                    attempts,
                    hint,
                    "{interrupted}; {} publications wait {} ms",
                    batch.len(),
                    wait.as_millis()
                );
                tokio::time::sleep(wait).await;
            }
        }
    }

    /// Sorts items by their replies: finishes or parks them, and returns those to be retried.
    fn sort(&mut self, part: Vec<Item>, replies: Vec<Result<(), Rejection>>, finished: &mut Finished) -> Vec<Item> {
        let mut retry = Vec::new();
        let (now, mut lags) = (Timestamp::now(), self.metrics.lags());
        for (mut item, reply) in part.into_iter().zip(replies) {
            item.attempts += 1;
            match reply.map_err(|rejection| (directive(&rejection), rejection)) {
                Ok(()) => {
                    let origin = &item.publication.origin;
                    lags.record(&origin.rule, origin.at, now);
                    log(&item.publication, "published");
                    self.finish(&item, finished);
                }
                Err((Directive::Retry, _)) => retry.push(item),
                Err((Directive::Park { hint }, rejection)) => self.park(&item, &rejection, hint, finished),
            }
        }
        retry
    }

    /// Holds the publications to be retried, then those of `rest` on the same channels, all ahead of those already held; returns what
    /// remains of `rest`. The backoff is reset only when nothing is held: other channels' success says nothing about a channel that keeps
    /// failing.
    fn hold(&mut self, retry: Vec<Item>, rest: Vec<Item>) -> Vec<Item> {
        if retry.is_empty() {
            if self.held.is_empty() {
                self.backoff.reset();
            }
            return rest;
        }
        self.metrics.retries.inc_by(retry.len() as u64);
        let wait = self.backoff.next();
        warn!(
            attempts = self.backoff.attempts(),
            "{} publications failed for now and wait {} ms",
            retry.len(),
            wait.as_millis()
        );
        self.retry_at = Instant::now() + wait;
        let (behind, rest): (Vec<_>, _) = rest
            .into_iter()
            .partition(|item| retry.iter().any(|failed| failed.channel == item.channel));
        for item in retry.into_iter().chain(behind).rev() {
            self.held.push_front(item);
        }
        rest
    }

    /// Counts an item that was published or parked, and frees its channel.
    fn finish(&self, item: &Item, finished: &mut Finished) {
        self.assignment.lock().end(item.channel);
        finished.count(item.chunk, &item.publication);
    }

    fn park(&self, item: &Item, rejection: &Rejection, hint: Option<&'static str>, finished: &mut Finished) {
        let Publication { origin, channel, .. } = &item.publication;
        warn!(model = origin.rule.model, rule = origin.rule.number, %channel, id = %origin, hint, "parked: {rejection}");
        self.metrics.parked(&origin.rule);
        log(&item.publication, "parked");
        self.finish(item, finished);
        finished.letters.push(rejected(&item.publication, rejection, item.attempts));
    }
}

/// Logs one line per event, if enabled; never its payload.
fn log(publication: &Publication, outcome: &'static str) {
    if !tracing::enabled!(target: "instant::event", Level::INFO) {
        return;
    }
    let Publication { origin, channel, .. } = publication;
    let lag = Timestamp::now().duration_since(origin.at).as_millis();
    info!(
        target: "instant::event",
        outcome, id = %origin, lag_ms = u64::try_from(lag).unwrap_or_default(),
        "{} {} → {channel}", origin.rule.model, origin.what()
    );
}

#[cfg(test)]
mod tests;
