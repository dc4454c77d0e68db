//! A page of a window.

use super::Reader;
use crate::change::Change;
use crate::outbox::position::{Position, Snapshot};
use crate::outbox::rows::{ChangeRow, Rows};
use crate::outbox::session::Error;

/// The changes of one page, as they arrive from the socket.
pub struct Page<'a> {
    pub(super) reader: &'a mut Reader,
    pub(super) rows: Rows,
    pub(super) count: i64,
    pub(super) until: Option<Snapshot>,
}

impl Page<'_> {
    /// The next change's row; `None` at the end of the page.
    ///
    /// # Errors
    /// When PostgreSQL refuses or does not answer.
    pub async fn next(&mut self) -> Result<Option<ChangeRow>, Error> {
        loop {
            let Some(row) = self.rows.next().await? else {
                return Ok(None);
            };
            if let Some(text) = row.try_get::<_, Option<&str>>(0)? {
                let until = Snapshot::new(text)?;
                let ahead = row.try_get(9)?;
                self.reader.seen.begin(&until, ahead);
                self.reader.lost.read(row.try_get(8)?, &until, ahead);
                self.until = Some(until);
                self.reader.read_at = row.try_get(2)?;
                continue;
            }
            self.count += 1;
            return Ok(Some(ChangeRow::new(row)));
        }
    }

    /// Whether it continues a window that an earlier page began.
    #[must_use]
    pub const fn continues(&self) -> bool {
        self.rows.expected.is_some()
    }

    /// Whether a change of this page was not [admitted](Reader::admit) before, exactly like this. Must be called once for each change.
    pub fn is_new(&mut self, change: &Change<'_>) -> bool {
        self.reader.seen.read(change)
    }

    /// The position that is reached once the change `id` of this page is settled.
    ///
    /// # Errors
    /// When PostgreSQL sent a change before the window's snapshot.
    pub fn after(&self, id: i64) -> Result<Position, Error> {
        let until = self.until.clone().ok_or(Error::Protocol("a window without a snapshot"))?;
        Ok(Position::inside(self.reader.start.clone(), until, id))
    }

    /// Has the window continue after this page's change `last` once the page is dropped; then no statement stays open.
    ///
    /// # Errors
    /// When PostgreSQL sent a change before the window's snapshot.
    pub fn leave(&mut self, last: i64) -> Result<(), Error> {
        let until = self.until.clone().ok_or(Error::Protocol("a window without a snapshot"))?;
        self.reader.resume_after(until, last);
        Ok(())
    }

    /// Ends the page after its last change, whose id is `last`. Returns the position reached if the window ended with it, and
    /// `None` if the window continues.
    ///
    /// # Errors
    /// When PostgreSQL refuses or does not answer.
    pub async fn end(self, last: Option<i64>) -> Result<Option<Position>, Error> {
        let Self {
            reader,
            rows,
            count,
            until,
        } = self;
        let until = until.ok_or(Error::Protocol("a window without a snapshot"))?;
        if let Some(after) = last.filter(|_| count == rows.limit) {
            reader.resume_after(until, after);
            return Ok(None);
        }
        if let Some(rest) = reader.rest.take() {
            rest.close(&reader.session.client).await?;
        }
        reader.within = None;
        reader.seen.end();
        reader.start = until.clone();
        Ok(Some(Position::at(until)))
    }
}

/// A source of changes that are read one after the other.
pub trait Feed: Send {
    /// The next change's row; `None` at the end, after which it must not be called again.
    ///
    /// # Errors
    /// When PostgreSQL refuses or does not answer.
    fn next_row(&mut self) -> impl Future<Output = Result<Option<ChangeRow>, Error>> + Send;
}

impl Feed for Page<'_> {
    async fn next_row(&mut self) -> Result<Option<ChangeRow>, Error> {
        self.next().await
    }
}
