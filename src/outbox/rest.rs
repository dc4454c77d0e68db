//! What is left of a window that is more than a page: a cursor that PostgreSQL holds for us.
//!
//! It holds the places and ids of the changes alone: sorting whole changes would keep everybody waiting for longer, and need a
//! temporary file as large as the transaction. The changes of a page are read at their places.

use std::time::Duration;

use tokio_postgres::Client;

use super::position::{Snapshot, Within};
use super::rows::Rows;
use super::session::{Error, patiently, within};
use super::sql::{Place, windows as sql};

/// The changes of a page. The rows stream: however large they are, only those in the socket's buffer are in memory.
const PAGE: i64 = 2_000;
/// How long PostgreSQL may take to sort a giant window.
const PATIENCE: Duration = Duration::from_mins(2);

/// A held cursor, and what it has given of the page under way: places, their ids, and how many there are when the page is full.
#[derive(Debug)]
pub(super) struct Rest {
    places: Vec<Place>,
    ids: Vec<i64>,
    limit: i64,
}

impl Rest {
    /// Opens the cursor on what follows `rest.after`.
    pub(super) async fn open(client: &Client, from: &Snapshot, rest: &Within) -> Result<Self, Error> {
        within(PATIENCE, sql::hold_rest(client, from, rest)).await?;
        Ok(Self {
            places: Vec::new(),
            ids: Vec::new(),
            limit: PAGE,
        })
    }

    /// The next page, or what is left of the one before.
    pub(super) async fn page(&mut self, client: &Client) -> Result<Rows, Error> {
        if self.ids.is_empty() {
            (self.places, self.ids) = patiently(sql::fetch_rest(client, PAGE)).await?;
            self.limit = PAGE;
        }
        Ok(Rows {
            stream: patiently(sql::changes(client, &self.places)).await?,
            limit: self.limit,
            expected: Some(self.ids.clone().into_iter()),
        })
    }

    /// The page was read up to the change `last`.
    pub(super) fn reached(&mut self, last: i64) {
        let read = self.ids.partition_point(|id| *id <= last);
        self.places.drain(..read);
        self.ids.drain(..read);
        self.limit -= i64::try_from(read).unwrap_or(PAGE);
    }

    /// Closes the cursor.
    pub(super) async fn close(self, client: &Client) -> Result<(), Error> {
        patiently(sql::close_rest(client)).await
    }
}
