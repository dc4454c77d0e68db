//! The intake: reads windows, maps their changes, and hands the publications to the lanes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::outlet::Outlet;
use super::pace::{Next, Pace, nap};
use super::related::Related;
use crate::mapping::{Mapping, NoRows};
use crate::outbox::{ChangeRow, Error, Reader};

/// A missed notification is made good by a read this long after, which also notices lost changes and a half-open connection.
const SAFETY_POLL: Duration = Duration::from_secs(5);
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
    pub(super) outlet: Outlet,
    /// The count of lost changes.
    pub(super) lost: watch::Sender<i64>,
    pub(super) shutdown: CancellationToken,
}

/// What a page was.
struct Turn {
    changes: u64,
    /// Whether the window ended with it.
    ended: bool,
    /// How long before the read its last change was written.
    age: Option<Duration>,
}

impl Turn {
    /// A page that a shutdown cut short.
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
        loop {
            let turn = self.page().await?;
            read += turn.changes;
            if self.shutdown.is_cancelled() {
                return Ok(());
            }
            if let Some(age) = turn.age {
                pace.learn(age);
            }
            if !turn.ended {
                continue;
            }
            let next = pace.after(std::mem::take(&mut read), started.elapsed());
            let pause = match next {
                Next::Read(pause) => pause,
                Next::Doze if !self.reader.can_doze() => POLL,
                Next::Doze => {
                    read += self.doze().await?;
                    continue;
                }
            };
            tokio::select! {
                () = nap(pause) => {}
                () = self.shutdown.cancelled() => return Ok(()),
            }
        }
    }

    /// Sleeps until a commit notifies. Returns how many changes were read in the sleep or on the way into it.
    async fn doze(&mut self) -> Result<u64, Error> {
        let mut pause = RETRY_DOZE.0;
        while !self.reader.try_doze().await? {
            // A transaction is under way that wrote changes and will not notify: read on until it has ended.
            tokio::select! {
                () = nap(pause) => {}
                () = self.shutdown.cancelled() => return Ok(0),
            }
            let turn = self.page().await?;
            if turn.changes > 0 || !turn.ended {
                return Ok(turn.changes);
            }
            pause = (pause * 2).min(RETRY_DOZE.1);
        }
        self.outlet.metrics.dozes.inc();
        let changes = loop {
            // Whatever was committed without a NOTIFY is visible by now, and whatever comes later notifies.
            let turn = self.page().await?;
            if turn.changes > 0 || !turn.ended {
                break turn.changes;
            }
            tokio::select! {
                notified = self.reader.notified() => {
                    notified?;
                    self.outlet.metrics.notifications.inc();
                    break 0;
                }
                () = tokio::time::sleep(SAFETY_POLL) => {}
                () = self.shutdown.cancelled() => break 0,
            }
        };
        self.reader.wake();
        Ok(changes)
    }

    /// Reads one page into the pipeline.
    async fn page(&mut self) -> Result<Turn, Error> {
        let Self {
            reader,
            related,
            outlet,
            shutdown,
            ..
        } = self;
        let rules = Arc::clone(&self.rules.borrow());
        let mut page = reader.page().await?;
        let (mut last, mut changes) = (None, 0);
        if rules.lookups().is_empty() {
            while let Some(row) = page.next().await? {
                let change = row.change()?;
                outlet.take(&rules, &row, &change, &NoRows)?;
                changes += 1;
                last = Some((change.id, change.at));
                if outlet.is_full() && !outlet.hand_on(page.after(outlet.reached(change.id))?, shutdown).await {
                    return Ok(Turn::unfinished(changes));
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
                    () = shutdown.cancelled() => return Ok(Turn::unfinished(changes)),
                }
                for (row, change) in rows.iter().zip(&batch) {
                    outlet.take(&rules, row, change, related.rows())?;
                    changes += 1;
                    if outlet.is_full() && !outlet.hand_on(page.after(outlet.reached(change.id))?, shutdown).await {
                        return Ok(Turn::unfinished(changes));
                    }
                }
                last = batch.last().map(|change| (change.id, change.at)).or(last);
                outlet.metrics.health().reading(None);
            }
        }
        let (rest, ended) = match last {
            Some((id, _)) => (Some(page.after(outlet.reached(id))?), page.end(Some(id)).await?),
            None => (None, page.end(None).await?),
        };
        let has_ended = ended.is_some();
        outlet.end(changes, has_ended);
        // A window without changes moves only the memory's cursor: writing it would make an idle relay write for ever.
        if let Some(position) = ended.filter(|_| changes > 0 || outlet.has_outcomes()).or(rest) {
            outlet.hand_on(position, shutdown).await;
        }
        let count = self.reader.lost();
        self.lost.send_if_modified(|known| std::mem::replace(known, count) != count);
        let age = last.map(|(_, at)| self.reader.read_at().duration_since(at));
        Ok(Turn {
            changes,
            ended: has_ended,
            age: age.and_then(|age| age.try_into().ok()),
        })
    }
}
