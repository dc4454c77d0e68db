//! A channel rule, evaluated by the database if it has a query.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use sqlx::postgres::types::Oid;
use sqlx::{
    AssertSqlSafe, Column as _, Connection as _, Either, Executor as _, PgPool, SqlSafeStr as _, Statement as _, TypeInfo as _,
};
use tokio::sync::Semaphore;

use super::error::{Error, describe, is_about_server, is_about_statement, is_bad_value};
use super::explain::Asked;
use super::identity::Who;
use crate::config::ChannelRule;
use crate::config::channel::{Allow, Query, USER};
use crate::config::diagnostic::Diagnostic;
use crate::config::diagnostic::code::BROKEN_QUERY;

/// The limit on a query's wait for its turn.
const TURN: Duration = Duration::from_millis(300);

/// A rule, with the statement of its query once the types of its parameters are read from the database.
#[derive(Debug)]
pub(super) struct Rule {
    channel: ChannelRule,
    statement: RwLock<Option<Arc<str>>>,
}

impl Rule {
    pub(super) fn new(channel: ChannelRule) -> Self {
        let statement = RwLock::new(None);
        Self { channel, statement }
    }

    /// Returns the values of the rule's variables in `channel`; `None` if the rule does not match it.
    pub(super) fn values(&self, channel: &str) -> Option<Vec<String>> {
        self.channel.pattern.values(channel)
    }

    /// Returns whether the rule allows `who` the channel with these values. A query takes one of `places`, and waits only a moment for it:
    /// a client subscribes to one channel after the other, stops after five seconds, and would then request all of them again.
    pub(super) async fn allows(&self, pool: &PgPool, places: &Semaphore, who: &Who, values: &[String]) -> Result<bool, Error> {
        let user = match who {
            Who::Visitor => None,
            Who::User(identity) => Some(identity),
        };
        let query = match &self.channel.allow {
            Allow::Everyone => return Ok(true),
            Allow::Users => return Ok(user.is_some()),
            Allow::Staff => return Ok(user.is_some_and(|user| user.is_staff)),
            Allow::Query(query) => query,
        };
        if user.is_none() && query.parameters().contains(&USER) {
            // `user_id is distinct from null` and the like would admit visitors by accident.
            return Ok(false);
        }
        let place = tokio::time::timeout(TURN, places.acquire()).await;
        let _place = place.map_err(|_| Error::Busy)?;
        let statement = self.statement(pool, query).await?;
        let mut question = sqlx::query_scalar(AssertSqlSafe(&*statement));
        for name in query.parameters() {
            question = question.bind(self.value(name, user.map(|user| user.user.as_str()), values));
        }
        match question.fetch_one(pool).await {
            Ok(allowed) => Ok(allowed),
            Err(error) if is_bad_value(&error) => Ok(false),
            Err(error) => {
                if is_about_statement(&error) {
                    // A migration may have changed a type; the next evaluation reads it again.
                    self.keep(None);
                }
                Err(self.broken(error))
            }
        }
    }

    /// Returns the record of an evaluation, with the values of the variables and the answer.
    pub(super) fn asked(&self, values: Vec<String>, allowed: bool) -> Asked {
        let variables = self.channel.pattern.variables().map(str::to_owned);
        Asked {
            rule: self.channel.pattern.text().to_owned(),
            allow: match &self.channel.allow {
                Allow::Everyone => "everyone",
                Allow::Users => "users",
                Allow::Staff => "staff",
                Allow::Query(_) => "a query",
            },
            values: variables.zip(values).collect(),
            lets_in: allowed,
        }
    }

    /// Prepares the query, if there is one.
    pub(super) async fn prepare(&self, pool: &PgPool) -> Result<(), Error> {
        if let Allow::Query(query) = &self.channel.allow {
            self.statement(pool, query).await?;
        }
        Ok(())
    }

    /// Returns the problem of the query, at its position.
    pub(super) fn problem(&self, error: &sqlx::Error) -> Diagnostic {
        let span = match &self.channel.allow {
            Allow::Query(query) => query.span.clone(),
            _ => self.channel.span.clone(),
        };
        let message = format!("the query of the channel `{}` cannot be run", self.channel.pattern.text());
        Diagnostic::error(BROKEN_QUERY, span, message, describe(error))
    }

    fn value(&self, parameter: &str, user: Option<&str>, values: &[String]) -> Option<String> {
        if parameter == USER {
            return user.map(str::to_owned);
        }
        let place = self.channel.pattern.variables().position(|name| name == parameter)?;
        values.get(place).cloned()
    }

    async fn statement(&self, pool: &PgPool, query: &Query) -> Result<Arc<str>, Error> {
        let known = self.statement.read().clone();
        if let Some(known) = known {
            return Ok(known);
        }
        let learned: Arc<str> = learn(pool, query).await.map_err(|error| self.broken(error))?.into();
        self.keep(Some(Arc::clone(&learned)));
        Ok(learned)
    }

    fn keep(&self, statement: Option<Arc<str>>) {
        *self.statement.write() = statement;
    }

    fn broken(&self, source: sqlx::Error) -> Error {
        if is_about_server(&source) {
            return Error::Database(source);
        }
        Error::Rule {
            channel: self.channel.pattern.text().to_owned(),
            source,
        }
    }
}

/// Returns the statement that evaluates a query, with a text for each parameter, cast to the type that PostgreSQL infers. A text that
/// differs from PostgreSQL's notation of the value (`007`) is refused: otherwise, two channels would be one room.
async fn learn(pool: &PgPool, query: &Query) -> Result<String, sqlx::Error> {
    let plain = query.text(|number| format!("${}", number + 1));
    let mut connection = pool.acquire().await?;
    // A statement that this connection has prepared before would keep its former types.
    connection.clear_cached_statements().await?;
    let prepared = connection.prepare(AssertSqlSafe(plain).into_sql_str()).await?;
    let oids: Vec<Option<Oid>> = match prepared.parameters() {
        Some(Either::Left(types)) => types.iter().map(sqlx::postgres::PgTypeInfo::oid).collect(),
        _ => Vec::new(),
    };
    let is_boolean = matches!(prepared.columns(), [only] if only.type_info().name() == "BOOL");
    let types: Vec<String> = sqlx::query_scalar(
        "select coalesce(format_type(oid, -1), 'text')
         from unnest($1::oid[]) with ordinality as parameters (oid, number)
         order by number",
    )
    .bind(oids)
    .fetch_all(&mut *connection)
    .await?;
    let kind = |number: usize| types.get(number).map_or("text", String::as_str);
    let inner = query.text(|number| format!("cast(cast(${} as text) as {})", number + 1, kind(number)));
    let canonical: Vec<String> = (1..=query.parameters().len())
        .map(|number| format!(" and cast(cast(${number} as text) as {})::text = ${number}", kind(number - 1)))
        .collect();
    let statement = if is_boolean {
        format!(
            "select coalesce((select bool_or(answer.allowed) from (\n{inner}\n) as answer (allowed)), false){}",
            canonical.concat()
        )
    } else {
        format!("select exists (\n{inner}\n){}", canonical.concat())
    };
    // A query that is valid by itself may be invalid inside, such as one that writes.
    connection.prepare(AssertSqlSafe(statement.as_str()).into_sql_str()).await?;
    Ok(statement)
}
