//! What is left of a window that is more than a page: a cursor that PostgreSQL holds for us.

use std::pin::Pin;
use std::time::Duration;

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, RowStream};
use tracing::warn;

use super::position::{Snapshot, Within};
use super::session::{Error, patiently, within};
use super::sql::windows as sql;

/// The changes of a page. The rows stream: however large they are, only those in the socket's buffer are in memory.
const PAGE: i64 = 2_000;
/// How long PostgreSQL may take to sort a giant window.
const PATIENCE: Duration = Duration::from_mins(2);

/// A held cursor.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rest {
    /// It holds whole changes.
    Changes,
    /// It holds their keys, since PostgreSQL has no room for more; twice the work, and a fraction of the temporary file.
    Keys,
}

/// A page of the rest.
pub(super) struct RestPage {
    pub(super) rows: Pin<Box<RowStream>>,
    /// How many rows there are before the page is full.
    pub(super) limit: i64,
    /// How many there are for sure, where that is known beforehand.
    pub(super) known: Option<i64>,
}

impl Rest {
    /// Opens the cursor on what follows `rest.after`.
    pub(super) async fn open(client: &Client, from: &Snapshot, rest: &Within) -> Result<Self, Error> {
        match within(PATIENCE, sql::hold_rest(client, from, rest, false)).await {
            Ok(()) => Ok(Self::Changes),
            Err(Error::Postgres(error)) if has_no_room(&error) => {
                warn!(
                    "PostgreSQL has no room for a large transaction's changes in a temporary file ({}); reading them by their keys",
                    Error::Postgres(error)
                );
                patiently(sql::roll_back(client)).await?;
                within(PATIENCE, sql::hold_rest(client, from, rest, true)).await?;
                Ok(Self::Keys)
            }
            Err(error) => Err(error),
        }
    }

    /// The next page.
    pub(super) async fn page(self, client: &Client) -> Result<RestPage, Error> {
        let (rows, known) = match self {
            Self::Changes => (patiently(sql::fetch_rest(client, PAGE)).await?, None),
            Self::Keys => {
                let keys = patiently(sql::fetch_keys(client, PAGE)).await?;
                let known = i64::try_from(keys.1.len()).ok();
                (patiently(sql::changes(client, &keys)).await?, known)
            }
        };
        Ok(RestPage {
            rows,
            limit: PAGE,
            known,
        })
    }

    /// Closes the cursor.
    pub(super) async fn close(self, client: &Client) -> Result<(), Error> {
        patiently(sql::close_rest(client)).await
    }
}

/// `temp_file_limit` is reached, or the disk is full.
fn has_no_room(error: &tokio_postgres::Error) -> bool {
    matches!(
        error.code(),
        Some(&SqlState::CONFIGURATION_LIMIT_EXCEEDED | &SqlState::DISK_FULL)
    )
}
