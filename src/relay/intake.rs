//! The intake: reads windows, maps their changes, and hands the publications to the lanes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::lane::Item;
use super::ledger::Entry;
use super::metrics::Metrics;
use super::outlet::Outlet;
use super::pace::{Next, Pace};
use super::related::Related;
use crate::mapping::{Mapping, NoRows};
use crate::outbox::{ChangeRow, Error, Reader};

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

impl Intake {
    pub(super) async fn run(mut self) -> Result<(), Error> {
        let started = Instant::now();
        let mut pace = Pace::default();
        let mut outlet = Outlet::new(&self.lanes, &self.ledger, &self.budget, &self.metrics);
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
    reader.wake();
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
            outlet.take(&rules, &row, &change, &NoRows)?;
            changes += 1;
            last = Some(change.id);
            if outlet.is_full() && !outlet.hand_on(page.after(outlet.reached(change.id))?, shutdown).await {
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
            for (row, change) in rows.iter().zip(&batch) {
                outlet.take(&rules, row, change, related.rows())?;
                changes += 1;
                if outlet.is_full() && !outlet.hand_on(page.after(outlet.reached(change.id))?, shutdown).await {
                    return Ok((changes, false));
                }
            }
            last = batch.last().map(|change| change.id).or(last);
            outlet.metrics.health().reading(None);
        }
    }
    let (rest, ended) = match last {
        Some(id) => (Some(page.after(outlet.reached(id))?), page.end(last).await?),
        None => (None, page.end(last).await?),
    };
    let has_ended = ended.is_some();
    outlet.end(changes, has_ended);
    // A window without changes moves only the memory's cursor: writing it would make an idle relay write for ever.
    if let Some(position) = ended.filter(|_| changes > 0 || outlet.has_outcomes()).or(rest) {
        outlet.hand_on(position, shutdown).await;
    }
    Ok((changes, has_ended))
}
