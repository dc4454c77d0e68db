//! What is left of a window that is more than a page: a cursor that PostgreSQL holds for us.
//!
//! It holds the places and ids of the changes alone: sorting whole changes would keep everybody waiting for longer, and need a
//! temporary file as large as the transaction. The changes of a page are read at their places.

use std::time::Duration;

use tokio_postgres::Client;

use super::position::{Snapshot, Within};
use super::rows::Rows;
use super::session::{Error, patiently, within};
use super::sql::windows as sql;

/// The changes of a page. The rows stream: however large they are, only those in the socket's buffer are in memory.
const PAGE: i64 = 2_000;
/// How long PostgreSQL may take to sort a giant window.
const PATIENCE: Duration = Duration::from_mins(2);

/// A held cursor.
#[derive(Debug)]
pub(super) struct Rest(());

impl Rest {
    /// Opens the cursor on what follows `rest.after`.
    pub(super) async fn open(client: &Client, from: &Snapshot, rest: &Within) -> Result<Self, Error> {
        within(PATIENCE, sql::hold_rest(client, from, rest)).await?;
        Ok(Self(()))
    }

    /// The next page.
    pub(super) async fn page(&self, client: &Client) -> Result<Rows, Error> {
        let (places, ids) = patiently(sql::fetch_rest(client, PAGE)).await?;
        Ok(Rows {
            stream: patiently(sql::changes(client, &places)).await?,
            limit: PAGE,
            expected: Some(ids.into_iter()),
        })
    }

    /// Closes the cursor.
    pub(super) async fn close(self, client: &Client) -> Result<(), Error> {
        patiently(sql::close_rest(client)).await
    }
}
