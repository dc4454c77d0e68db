//! The rows of a page, as they come from the socket.

use std::borrow::Cow;
use std::pin::Pin;
use std::sync::OnceLock;
use std::time::Duration;

use futures_util::{FutureExt, TryStreamExt};
use jiff::Timestamp;
use tokio_postgres::{Row, RowStream};

use super::session::{Error, within};
use super::sql::{Json, Xid};
use crate::change::{Change, Operation};

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

/// One row of a page.
#[derive(Debug)]
pub struct ChangeRow {
    row: Row,
    /// The former and the present version, where they differ from what PostgreSQL sent.
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
    /// When the row is not one of the outbox as this binary knows it.
    pub fn transaction(&self) -> Result<u64, Error> {
        Ok(self.row.try_get::<_, Xid>(7)?.0)
    }

    /// The change that the row holds.
    ///
    /// # Errors
    /// When the row is not one of the outbox as this binary knows it.
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

/// A version of the row; `repaired` holds one that had to be repaired.
fn version<'a>(row: &'a Row, column: usize, repaired: &'a OnceLock<Box<str>>) -> Result<Option<&'a str>, Error> {
    let json: Option<Json<'_>> = row.try_get(column)?;
    Ok(json.map(|json| match json.0 {
        Cow::Borrowed(text) => text,
        Cow::Owned(text) => repaired.get_or_init(|| text.into()),
    }))
}
