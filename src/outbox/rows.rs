//! The rows of a page, as they come from the socket.

use std::pin::Pin;
use std::time::Duration;

use futures_util::{FutureExt, TryStreamExt};
use tokio_postgres::{Row, RowStream};

use super::session::{Error, within};

/// How long PostgreSQL may take for the next row.
const PATIENCE: Duration = Duration::from_mins(2);

/// What PostgreSQL sends for a page.
pub(super) struct Rows {
    pub(super) stream: Pin<Box<RowStream>>,
    /// How many changes there are when the page is full.
    pub(super) limit: i64,
    /// Their ids, where they were asked for before.
    pub(super) expected: Option<std::vec::IntoIter<i64>>,
}

impl Rows {
    /// The next row; none at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Row>, Error> {
        // Most rows are there already: a time-out for each would cost as much as decoding it.
        let row = match self.stream.try_next().now_or_never() {
            Some(row) => row?,
            None => within(PATIENCE, self.stream.try_next()).await?,
        };
        if let Some(expected) = &mut self.expected {
            let id = row.as_ref().map(|row| row.try_get(1)).transpose()?;
            if expected.next() != id {
                return Err(Error::Moved);
            }
        }
        Ok(row)
    }
}
