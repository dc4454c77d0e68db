//! The rows of a page, as they arrive from the socket.

use std::borrow::Cow;
use std::pin::Pin;
use std::sync::OnceLock;
use std::time::Duration;

use futures_util::{FutureExt, TryStreamExt};
use jiff::Timestamp;
use tokio_postgres::{Row, RowStream};

use super::session::{Error, in_time_of};
use super::sql::{Json, Xid};
use crate::change::{Change, Operation};

/// The timeout for PostgreSQL to send the next row.
const NEXT_ROW_TIMEOUT: Duration = Duration::from_mins(2);

/// The stream of a page's rows.
pub(super) struct Rows {
    pub(super) stream: Pin<Box<RowStream>>,
    /// The number of changes if the page is full.
    pub(super) limit: i64,
    /// Their ids, if these were fetched before.
    pub(super) expected: Option<std::vec::IntoIter<i64>>,
}

impl Rows {
    /// The next row; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Row>, Error> {
        // Most rows have already arrived: a timeout for each would cost as much as decoding it.
        let row = match self.stream.try_next().now_or_never() {
            Some(row) => row?,
            None => in_time_of(NEXT_ROW_TIMEOUT, self.stream.try_next()).await?,
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

/// One row of a page.
#[derive(Debug)]
pub struct ChangeRow {
    row: Row,
    /// The old and the new version, if they differ from what PostgreSQL sent.
    repaired: [OnceLock<Box<str>>; 2],
}

impl ChangeRow {
    /// A row whose columns are those of a window's statement.
    pub(super) const fn new(row: Row) -> Self {
        Self {
            row,
            repaired: [OnceLock::new(), OnceLock::new()],
        }
    }

    /// The transaction that wrote it.
    ///
    /// # Errors
    /// When the row does not have the format that this binary supports.
    pub fn transaction(&self) -> Result<u64, Error> {
        Ok(self.row.try_get::<_, Xid>(7)?.0)
    }

    /// The change that the row holds.
    ///
    /// # Errors
    /// When the row does not have the format that this binary supports.
    pub fn change(&self) -> Result<Change<'_>, Error> {
        let Self {
            row,
            repaired: [old, new],
        } = self;
        let letter = row.try_get::<_, i8>(4)?.cast_unsigned();
        Ok(Change {
            id: row.try_get(1)?,
            at: row.try_get::<_, Timestamp>(2)?,
            source: row.try_get(3)?,
            operation: Operation::from_letter(char::from(letter)).ok_or(Error::Protocol("an operation of a newer version"))?,
            old: version(row, 5, old)?,
            new: version(row, 6, new)?,
        })
    }
}

/// A version of the changed row; `repaired` stores it if it had to be repaired.
fn version<'a>(row: &'a Row, column: usize, repaired: &'a OnceLock<Box<str>>) -> Result<Option<&'a str>, Error> {
    let json: Option<Json<'_>> = row.try_get(column)?;
    Ok(json.map(|json| match json.0 {
        Cow::Borrowed(text) => text,
        Cow::Owned(text) => repaired.get_or_init(|| text.into()),
    }))
}
