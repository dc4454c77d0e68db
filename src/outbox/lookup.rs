//! The session that reads rows of the project's tables for rules.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::value::RawValue;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Row, Statement};
use tracing::warn;

use super::session::{Error, STATEMENT_TIMEOUT, Session, describe, in_time};
use super::sql::{Json, lookup as sql};
use crate::capture::watch::Lookup;

/// The pause between attempts at a table under an exclusive lock, in addition to the wait for the lock itself.
const PAUSE: Duration = Duration::from_millis(500);

/// The errors for a key that its column's type cannot hold.
const BAD_KEY: [SqlState; 4] = [
    SqlState::INVALID_TEXT_REPRESENTATION,
    SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
    SqlState::INVALID_DATETIME_FORMAT,
    SqlState::DATETIME_FIELD_OVERFLOW,
];
/// How many statements may fail on bad keys before the lookup is refused: a few are found by halving, many mean a wrong column.
const BAD_STATEMENTS: u32 = 64;
/// The classes of transient errors: of the connection, of conflicts, resources and operators.
const PASSING: [&str; 4] = ["08", "40", "53", "57"];

/// A session that reads rows by key.
#[derive(Debug)]
pub struct Lookups {
    session: Session,
    statements: HashMap<usize, Statement>,
}

/// A row's key, and its values in the order of [`Lookup::columns`].
pub type LookedUp = (Arc<str>, Box<[Box<RawValue>]>);

/// The outcome of a lookup.
#[derive(Debug)]
pub enum Answer {
    /// The rows that exist.
    Rows(Vec<LookedUp>),
    /// PostgreSQL refuses it, with a human-readable reason; a retry does not help until somebody fixes that.
    Refused(String),
}

/// The statement of a lookup for a session other than ours, in the format of Python's drivers: `%s` stands for an array of keys as
/// text, and a literal per cent sign is doubled.
#[must_use]
pub fn foreign_statement(lookup: &Lookup) -> String {
    // No name contains a NUL.
    sql::statement(lookup, "\0").replace('%', "%%").replace('\0', "%s")
}

impl Lookups {
    /// Connects.
    ///
    /// # Errors
    /// When PostgreSQL cannot be reached.
    pub async fn connect(url: &SecretString) -> Result<Self, Error> {
        let session = Session::connect(url, "instant related").await?;
        in_time(sql::pin(&session.client)).await?;
        Ok(Self {
            session,
            statements: HashMap::new(),
        })
    }

    /// Reads the rows with these keys; `number` identifies the lookup within this session. A key that the column's type cannot hold
    /// has no row; if there are many of them, the lookup counts as refused.
    ///
    /// # Errors
    /// When PostgreSQL does not answer.
    pub async fn read(&mut self, number: usize, lookup: &Lookup, keys: &[Arc<str>]) -> Result<Answer, Error> {
        let mut rows = Vec::with_capacity(keys.len());
        let (mut parts, mut failed, mut waits) = (vec![keys], 0, false);
        let mut may_be_outdated = self.statements.contains_key(&number);
        while let Some(part) = parts.pop() {
            let found = tokio::time::timeout(STATEMENT_TIMEOUT, self.part(number, lookup, part)).await;
            match found.map_err(|_| Error::Silent(STATEMENT_TIMEOUT))? {
                Ok(found) => rows.extend(found),
                Err(error) => match error.code() {
                    Some(code) if BAD_KEY.contains(code) && may_be_outdated => {
                        // A migration may have changed the column's type since the statement was prepared.
                        may_be_outdated = false;
                        self.statements.remove(&number);
                        parts.push(part);
                    }
                    Some(code) if BAD_KEY.contains(code) && failed < BAD_STATEMENTS => {
                        failed += 1;
                        // One bad key fails the whole statement: halve it until the key is on its own.
                        let (left, right) = part.split_at(part.len() / 2);
                        parts.extend([left, right].into_iter().filter(|half| !half.is_empty() && part.len() > 1));
                    }
                    Some(&SqlState::LOCK_NOT_AVAILABLE) => {
                        if !std::mem::replace(&mut waits, true) {
                            warn!("`{}.{}` is locked; waiting for it", lookup.schema, lookup.table);
                        }
                        tokio::time::sleep(PAUSE).await;
                        parts.push(part);
                    }
                    Some(&SqlState::QUERY_CANCELED) => return Ok(Answer::Refused(describe(&error))),
                    Some(code) if !PASSING.iter().any(|class| code.code().starts_with(class)) => {
                        self.statements.remove(&number);
                        return Ok(Answer::Refused(describe(&error)));
                    }
                    _ => return Err(error.into()),
                },
            }
        }
        Ok(Answer::Rows(rows))
    }

    async fn part(&mut self, number: usize, lookup: &Lookup, keys: &[Arc<str>]) -> Result<Vec<LookedUp>, tokio_postgres::Error> {
        let client = &self.session.client;
        let statement = match self.statements.entry(number) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(free) => free.insert(sql::prepare(client, lookup).await?),
        };
        let rows = sql::read(client, statement, keys).await?;
        rows.iter().map(row).collect()
    }
}

/// A row's key and values.
fn row(row: &Row) -> Result<LookedUp, tokio_postgres::Error> {
    let value = |index| {
        let json: Option<Json<'_>> = row.try_get(index)?;
        // PostgreSQL writes nothing but JSON here.
        Ok(json
            .and_then(|json| RawValue::from_string(json.0.into_owned()).ok())
            .unwrap_or_else(|| RawValue::NULL.to_owned()))
    };
    let key: Json<'_> = row.try_get(0)?;
    Ok((key.0.into(), (1..row.len()).map(value).collect::<Result<_, _>>()?))
}
