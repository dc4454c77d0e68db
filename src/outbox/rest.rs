//! The rest of a window that is larger than a page: a cursor that PostgreSQL holds for us.
//!
//! It holds only the locations and ids of the changes: sorting whole changes would keep everybody waiting for longer, and need a
//! temporary file as large as the transaction. The changes of a page are read at their locations.

use std::time::Duration;

use tokio_postgres::Client;

use super::position::{Snapshot, Within};
use super::rows::Rows;
use super::session::{Error, in_time, in_time_of};
use super::sql::{Place, windows as sql};

/// The maximum changes of a page. The rows stream: however large they are, only those in the socket's buffer are in memory.
const PAGE: i64 = 2_000;
/// The timeout for PostgreSQL to sort a giant window.
const SORT_TIMEOUT: Duration = Duration::from_mins(2);

/// A held cursor, and what it has returned of the current page: locations, ids, and the number of changes if the page is full.
#[derive(Debug)]
pub(super) struct Rest {
    places: Vec<Place>,
    ids: Vec<i64>,
    limit: i64,
}

impl Rest {
    /// Opens the cursor on the changes after `rest.after`.
    pub(super) async fn open(client: &Client, from: &Snapshot, rest: &Within) -> Result<Self, Error> {
        in_time_of(SORT_TIMEOUT, sql::hold_rest(client, from, rest)).await?;
        Ok(Self {
            places: Vec::new(),
            ids: Vec::new(),
            limit: PAGE,
        })
    }

    /// The next page, or the rest of the one before.
    pub(super) async fn page(&mut self, client: &Client) -> Result<Rows, Error> {
        if self.ids.is_empty() {
            (self.places, self.ids) = in_time(sql::fetch_rest(client, PAGE)).await?;
            self.limit = PAGE;
        }
        Ok(Rows {
            stream: in_time(sql::changes(client, &self.places)).await?,
            limit: self.limit,
            expected: Some(self.ids.clone().into_iter()),
        })
    }

    /// Records that the page was read up to the change `last`.
    pub(super) fn reached(&mut self, last: i64) {
        let read = self.ids.partition_point(|id| *id <= last);
        self.places.drain(..read);
        self.ids.drain(..read);
        self.limit -= i64::try_from(read).unwrap_or(PAGE);
    }

    /// Closes the cursor.
    pub(super) async fn close(self, client: &Client) -> Result<(), Error> {
        in_time(sql::close_rest(client)).await
    }
}
