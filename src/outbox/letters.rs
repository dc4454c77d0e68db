//! Dead letters as an operator handles them: found, retried, dropped.

use std::pin::Pin;
use std::time::Duration;

use futures_util::TryStreamExt;
use jiff::Timestamp;
use tokio_postgres::{Row, RowStream};

use super::dead_letter::DeadLetter;
use super::operator::Operator;
use super::session::{Error, in_time};
use super::sql::{Json, letters as sql};
use crate::change::Change;

/// The maximum letters of a page …
const PAGE: i64 = 100;
/// … and its bytes, so that large events do not pile up in memory.
const PAGE_BYTES: usize = 1 << 20;

/// A selection of dead letters; a field that is `None` does not narrow it.
#[derive(Clone, Debug, Default)]
pub struct LetterFilter {
    /// These ids; any if empty.
    pub ids: Vec<i64>,
    /// The model of the rule.
    pub model: Option<String>,
    /// The rule's number within its watch, from 1.
    pub rule: Option<i32>,
    /// The channel, exactly.
    pub channel: Option<String>,
    /// A part of the reason, case-insensitive.
    pub reason: Option<String>,
    /// Parked longer ago than this.
    pub older: Option<Duration>,
    /// Parked no longer ago than this.
    pub newer: Option<Duration>,
}

/// A dead letter in the database.
#[derive(Clone, Debug)]
pub struct StoredLetter {
    /// Its id.
    pub id: i64,
    /// When it was parked.
    pub parked_at: Timestamp,
    /// The letter itself.
    pub letter: DeadLetter,
}

/// A letter's position in the order of changes; the default is before the first.
#[derive(Clone, Copy, Debug, Default)]
pub struct LetterPlace {
    /// Its change's id in the outbox.
    pub change_id: i64,
    /// Its id.
    pub id: i64,
}

/// Why a letter remains after a retry.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The letter's id.
    pub id: i64,
    /// The new reason.
    pub reason: String,
    /// The publisher's error code, if it gave one.
    pub code: Option<i32>,
}

impl Operator {
    /// The next letters after the id `after`, ordered by id; events and rows only if `with_bodies`. Empty at the end.
    ///
    /// # Errors
    /// When PostgreSQL refuses or does not answer.
    pub async fn letters(&self, filter: &LetterFilter, after: i64, with_bodies: bool) -> Result<Vec<StoredLetter>, Error> {
        page(in_time(sql::page(&self.session.client, filter, after, PAGE, with_bodies)).await?).await
    }

    /// The next letters after the position `after`, in the order of their changes, whichever was parked first. Empty at the end.
    ///
    /// # Errors
    /// When PostgreSQL refuses or does not answer.
    pub async fn letters_by_change(&self, filter: &LetterFilter, after: LetterPlace) -> Result<Vec<StoredLetter>, Error> {
        page(in_time(sql::page_by_change(&self.session.client, filter, after, PAGE)).await?).await
    }

    /// The number of letters that match a filter.
    ///
    /// # Errors
    /// When PostgreSQL refuses or does not answer.
    pub async fn count_letters(&self, filter: &LetterFilter) -> Result<i64, Error> {
        in_time(sql::count(&self.session.client, filter)).await
    }

    /// Deletes the letters that match a filter, and returns how many.
    ///
    /// # Errors
    /// When PostgreSQL refuses or does not answer.
    pub async fn drop_letters(&self, filter: &LetterFilter) -> Result<u64, Error> {
        in_time(sql::drop(&self.session.client, filter)).await
    }

    /// Settles an attempt: deletes the letters that were `taken`, and counts the attempt of those that were `refused` again.
    ///
    /// # Errors
    /// When PostgreSQL refuses or does not answer. A letter that was taken but not deleted is suppressed by its key if it is soon
    /// retried.
    pub async fn settle_letters(&self, taken: &[i64], refused: &[Refusal]) -> Result<(), Error> {
        let client = &self.session.client;
        if !taken.is_empty() {
            in_time(sql::delete(client, taken)).await?;
        }
        for refusal in refused {
            match in_time(sql::refuse(client, refusal)).await {
                Err(error) if error.is_unencodable() => in_time(sql::refuse(client, &refusal.in_ascii())).await?,
                settled => settled?,
            }
        }
        Ok(())
    }
}

impl StoredLetter {
    /// Its position in the order of changes.
    #[must_use]
    pub const fn place(&self) -> LetterPlace {
        LetterPlace {
            change_id: self.letter.change_id,
            id: self.id,
        }
    }

    /// The change it was parked for, to be mapped again; `None` if a newer version wrote the letter.
    #[must_use]
    pub fn change(&self) -> Option<Change<'_>> {
        let letter = &self.letter;
        Some(Change {
            id: letter.change_id,
            at: letter.change_at,
            source: &letter.source,
            operation: letter.operation()?,
            old: letter.old.as_deref(),
            new: letter.new.as_deref(),
        })
    }
}

/// Reads as many of `rows` as a page may hold.
async fn page(mut rows: Pin<Box<RowStream>>) -> Result<Vec<StoredLetter>, Error> {
    let (mut page, mut bytes) = (Vec::new(), 0);
    while bytes < PAGE_BYTES
        && let Some(row) = in_time(rows.try_next()).await?
    {
        let stored = stored(&row)?;
        let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        bytes += length(&stored.letter.event) + length(&stored.letter.old) + length(&stored.letter.new);
        page.push(stored);
    }
    Ok(page)
}

fn stored(row: &Row) -> Result<StoredLetter, Error> {
    let json = |index| -> Result<Option<String>, Error> {
        let text: Option<Json<'_>> = row.try_get(index)?;
        Ok(text.map(|json| json.0.into_owned()))
    };
    Ok(StoredLetter {
        id: row.try_get(0)?,
        parked_at: row.try_get(1)?,
        letter: DeadLetter {
            key: row.try_get(2)?,
            change_id: row.try_get(3)?,
            change_at: row.try_get(4)?,
            source: row.try_get(5)?,
            operation: row.try_get(6)?,
            model: row.try_get(7)?,
            rule: row.try_get(8)?,
            channel: row.try_get(9)?,
            reason: row.try_get(10)?,
            code: row.try_get(11)?,
            attempts: row.try_get(12)?,
            event: json(13)?,
            old: json(14)?,
            new: json(15)?,
        },
    })
}
