//! Dead letters as an operator sees them: found, tried again, dropped.

use std::pin::Pin;
use std::time::Duration;

use futures_util::TryStreamExt;
use jiff::Timestamp;
use tokio_postgres::{Row, RowStream};

use super::dead_letter::DeadLetter;
use super::operator::Operator;
use super::session::{Error, patiently};
use super::sql::{Json, letters as sql};
use crate::change::Change;

/// The letters of a page …
const PAGE: i64 = 100;
/// … and the bytes of it, so that large events do not pile up in memory.
const PAGE_BYTES: usize = 1 << 20;

/// Which dead letters are meant; what is none does not narrow.
#[derive(Clone, Debug, Default)]
pub struct LetterFilter {
    /// These ids; empty: any.
    pub ids: Vec<i64>,
    /// The model of the rule.
    pub model: Option<String>,
    /// The rule's number within its watch, from 1.
    pub rule: Option<i32>,
    /// The channel, exactly.
    pub channel: Option<String>,
    /// A part of the reason, in any case.
    pub reason: Option<String>,
    /// Parked longer ago than this.
    pub older: Option<Duration>,
    /// Parked within this.
    pub newer: Option<Duration>,
}

/// A dead letter in the database.
#[derive(Clone, Debug)]
pub struct StoredLetter {
    /// Its number.
    pub id: i64,
    /// When it was parked.
    pub parked_at: Timestamp,
    /// What was parked.
    pub letter: DeadLetter,
}

/// A letter's place in the order of changes; the default is before the first.
#[derive(Clone, Copy, Debug, Default)]
pub struct LetterPlace {
    /// Its change's id in the outbox.
    pub change_id: i64,
    /// Its number.
    pub id: i64,
}

/// Why a letter stays after it was tried again.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The letter.
    pub id: i64,
    /// The new reason.
    pub reason: String,
    /// The publisher's error code, if it gave one.
    pub code: Option<i32>,
}

impl Operator {
    /// The next letters after the id `after`, by their ids; the events and rows only `with_bodies`. Empty at the end.
    ///
    /// # Errors
    /// When PostgreSQL refuses or does not answer.
    pub async fn letters(&self, filter: &LetterFilter, after: i64, with_bodies: bool) -> Result<Vec<StoredLetter>, Error> {
        page(patiently(sql::page(&self.session.client, filter, after, PAGE, with_bodies)).await?).await
    }

    /// The next letters behind the place `after`, in the order of their changes, whichever was parked first. Empty at the end.
    ///
    /// # Errors
    /// When PostgreSQL refuses or does not answer.
    pub async fn letters_by_change(&self, filter: &LetterFilter, after: LetterPlace) -> Result<Vec<StoredLetter>, Error> {
        page(patiently(sql::page_by_change(&self.session.client, filter, after, PAGE)).await?).await
    }

    /// How many letters a filter finds.
    ///
    /// # Errors
    /// When PostgreSQL refuses or does not answer.
    pub async fn count_letters(&self, filter: &LetterFilter) -> Result<i64, Error> {
        patiently(sql::count(&self.session.client, filter)).await
    }

    /// Deletes the letters that a filter finds, and returns how many.
    ///
    /// # Errors
    /// When PostgreSQL refuses or does not answer.
    pub async fn drop_letters(&self, filter: &LetterFilter) -> Result<u64, Error> {
        patiently(sql::drop(&self.session.client, filter)).await
    }

    /// Settles an attempt: deletes what was `taken`, counts the attempt of what was `refused` again.
    ///
    /// # Errors
    /// When PostgreSQL refuses or does not answer. What was taken and is not deleted is suppressed by its key when it is soon
    /// tried again.
    pub async fn settle_letters(&self, taken: &[i64], refused: &[Refusal]) -> Result<(), Error> {
        let client = &self.session.client;
        if !taken.is_empty() {
            patiently(sql::delete(client, taken)).await?;
        }
        for refusal in refused {
            match patiently(sql::refuse(client, refusal)).await {
                Err(error) if error.is_unspeakable() => patiently(sql::refuse(client, &refusal.in_ascii())).await?,
                settled => settled?,
            }
        }
        Ok(())
    }
}

impl StoredLetter {
    /// Its place in the order of changes.
    #[must_use]
    pub const fn place(&self) -> LetterPlace {
        LetterPlace {
            change_id: self.letter.change_id,
            id: self.id,
        }
    }

    /// The change that it tells of, so that it can be mapped again; none when it is one of a newer version.
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

/// As many of `rows` as a page may hold.
async fn page(mut rows: Pin<Box<RowStream>>) -> Result<Vec<StoredLetter>, Error> {
    let (mut page, mut bytes) = (Vec::new(), 0);
    while bytes < PAGE_BYTES
        && let Some(row) = patiently(rows.try_next()).await?
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
