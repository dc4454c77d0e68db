//! The progress of reading a page, and whether it continues.

use std::sync::Arc;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::change::Change;
use crate::mapping::{Mapping, NoRelatedRows, RelatedRows};
use crate::outbox::{ChangeRow, Error, Page, Position};
use crate::relay::outlet::Outlet;
use crate::relay::related::RelatedLoader;

/// The part of a page taken so far.
pub(super) struct Progress<'a> {
    rules: &'a Arc<Mapping>,
    outlet: &'a mut Outlet,
    shutdown: &'a CancellationToken,
    /// The number of changes.
    pub(super) changes: u64,
    /// The last change's id, and when it was written.
    pub(super) last: Option<(i64, Timestamp)>,
}

/// How the reading of a page continues after a change.
pub(super) enum Flow {
    /// With the next change.
    Continue,
    /// Not now: the page was left because the publisher is unavailable, and the part taken of it must still be handed on. In the whole
    /// cluster, vacuum cannot remove what an open statement can see.
    LeavePage(Position),
    /// Not at all: the relay is shutting down.
    Shutdown,
}

impl<'a> Progress<'a> {
    pub(super) const fn new(rules: &'a Arc<Mapping>, outlet: &'a mut Outlet, shutdown: &'a CancellationToken) -> Self {
        Self {
            rules,
            outlet,
            shutdown,
            changes: 0,
            last: None,
        }
    }

    /// Reads the page to its end, unless it is left earlier.
    pub(super) async fn read(&mut self, page: &mut Page<'_>, related: &mut RelatedLoader) -> Result<Flow, Error> {
        if !self.rules.lookups().is_empty() {
            return self.read_with(page, related).await;
        }
        while let Some(row) = page.next().await? {
            match self.take(page, &row, &row.change()?, &NoRelatedRows).await? {
                Flow::Continue => {}
                left => return Ok(left),
            }
        }
        Ok(Flow::Continue)
    }

    /// The same if rules read rows of other tables, which are looked up for many changes together.
    async fn read_with(&mut self, page: &mut Page<'_>, related: &mut RelatedLoader) -> Result<Flow, Error> {
        let mut continues = true;
        while continues {
            let (rows, more) = related.gather(page).await?;
            continues = more;
            let batch = rows.iter().map(ChangeRow::change).collect::<Result<Vec<_>, _>>()?;
            self.outlet.metrics.health().reading(batch.first().map(|change| change.at));
            tokio::select! {
                prepared = related.prepare(self.rules, &batch) => prepared?,
                // The wait for a locked table is unbounded.
                () = self.shutdown.cancelled() => return Ok(Flow::Shutdown),
            }
            for (row, change) in rows.iter().zip(&batch) {
                match self.take(page, row, change, related.rows()).await? {
                    Flow::Continue => {}
                    left => return Ok(left),
                }
            }
            self.outlet.metrics.health().reading(None);
        }
        Ok(Flow::Continue)
    }

    /// Takes a change of the page, and hands on the chunk once it is full.
    async fn take(
        &mut self,
        page: &mut Page<'_>,
        row: &ChangeRow,
        change: &Change<'_>,
        rows: &dyn RelatedRows,
    ) -> Result<Flow, Error> {
        if page.is_new(change) {
            self.outlet.take(self.rules, change, || row.transaction(), rows)?;
        }
        self.changes += 1;
        self.last = Some((change.id, change.at));
        if !self.outlet.is_full() {
            return Ok(Flow::Continue);
        }
        let position = page.after(self.outlet.reached(change.id))?;
        if !self.outlet.has_room(self.shutdown).await {
            page.leave(change.id)?;
            return Ok(Flow::LeavePage(position));
        }
        let is_on = self.outlet.hand_on(position, self.shutdown).await;
        Ok(if is_on { Flow::Continue } else { Flow::Shutdown })
    }
}
