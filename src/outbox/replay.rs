//! The settled changes that the outbox still holds, to be sent again.

use std::pin::Pin;
use std::time::Duration;

use futures_util::TryStreamExt;
use jiff::Timestamp;
use tokio_postgres::RowStream;

use super::operator::Operator;
use super::reader::Feed;
use super::rows::ChangeRow;
use super::session::{Error, in_time, in_time_of};
use super::sql::replay as sql;

/// The maximum changes of a page. They stream: only those in the socket's buffer are in memory.
const PAGE: i64 = 2_000;
/// The timeout for PostgreSQL to find and sort the changes, and for each next row.
const REPLAY_TIMEOUT: Duration = Duration::from_mins(10);

/// A selection of settled changes.
#[derive(Clone, Debug)]
pub struct Span {
    /// Written at this moment or later.
    pub since: Timestamp,
    /// Written before this moment.
    pub until: Timestamp,
    /// Only of these watches, by their names in the outbox.
    pub sources: Option<Vec<String>>,
}

/// Settled changes, ordered by id: those of one row in the order in which they were committed.
pub struct Replay<'a> {
    operator: &'a Operator,
    rows: Option<Pin<Box<RowStream>>>,
    /// The changes of the page so far.
    count: i64,
}

impl Operator {
    /// Opens the settled changes of a span. The server materialises them, so that neither memory nor the xmin horizon depends on
    /// how long the publishing takes. Unsettled changes are left out: the relay sends them anyway.
    ///
    /// # Errors
    /// When PostgreSQL refuses or does not answer.
    pub async fn replay(&self, span: &Span) -> Result<Replay<'_>, Error> {
        in_time_of(REPLAY_TIMEOUT, sql::open(&self.session.client, span)).await?;
        Ok(Replay {
            operator: self,
            rows: None,
            count: 0,
        })
    }
}

impl Feed for Replay<'_> {
    async fn next_row(&mut self) -> Result<Option<ChangeRow>, Error> {
        self.next().await
    }
}

impl Replay<'_> {
    /// The next change's row; `None` at the end.
    ///
    /// # Errors
    /// When PostgreSQL refuses or does not answer.
    pub async fn next(&mut self) -> Result<Option<ChangeRow>, Error> {
        loop {
            let client = &self.operator.session.client;
            let rows = match &mut self.rows {
                Some(rows) => rows,
                none => {
                    self.count = 0;
                    none.insert(in_time(sql::fetch(client, PAGE)).await?)
                }
            };
            if let Some(row) = in_time_of(REPLAY_TIMEOUT, rows.try_next()).await? {
                self.count += 1;
                return Ok(Some(ChangeRow::new(row)));
            }
            if self.count < PAGE {
                in_time(sql::close(client)).await?;
                return Ok(None);
            }
            self.rows = None;
        }
    }
}
