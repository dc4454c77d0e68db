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

/// A rule, with the statements of its query once the types of its parameters are read from the database.
#[derive(Debug)]
pub(super) struct Rule {
    channel: ChannelRule,
    statements: RwLock<Option<Arc<Statements>>>,
}

/// The statements of a query, which take the same parameters.
#[derive(Debug)]
struct Statements {
    /// Whether the query allows the channel.
    answer: String,
    /// Whether the values are in PostgreSQL's notation of their types; fails if they are not of these.
    values: String,
}

impl Rule {
    pub(super) fn new(channel: ChannelRule) -> Self {
        let statements = RwLock::new(None);
        Self { channel, statements }
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
        let statements = self.statements(pool, query).await?;
        let evaluate = async |statement: &str| -> Result<bool, sqlx::Error> {
            let mut question = sqlx::query_scalar(AssertSqlSafe(statement));
            for name in query.parameters() {
                question = question.bind(self.value(name, user.map(|user| user.user.as_str()), values));
            }
            question.fetch_one(pool).await
        };
        let allowed = evaluate(&statements.answer).await;
        // Either the channel's text is not of its type, and no room has that name, or the query fails on what the tables contain.
        if allowed.as_ref().is_err_and(is_bad_value) {
            match evaluate(&statements.values).await {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(error) if is_bad_value(&error) => return Ok(false),
                Err(error) => return Err(self.broken(error)),
            }
        }
        allowed.map_err(|error| {
            if is_about_statement(&error) {
                // A migration may have changed a type; the next evaluation reads it again.
                self.keep(None);
            }
            self.broken(error)
        })
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
            self.statements(pool, query).await?;
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

    async fn statements(&self, pool: &PgPool, query: &Query) -> Result<Arc<Statements>, Error> {
        let known = self.statements.read().clone();
        if let Some(known) = known {
            return Ok(known);
        }
        let learned = Arc::new(learn(pool, query).await.map_err(|error| self.broken(error))?);
        self.keep(Some(Arc::clone(&learned)));
        Ok(learned)
    }

    fn keep(&self, statements: Option<Arc<Statements>>) {
        *self.statements.write() = statements;
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

/// Returns the statements that evaluate a query, with a text for each parameter, cast to the type that PostgreSQL infers. A text that
/// differs from PostgreSQL's notation of the value (`007`) is refused: otherwise, two channels would be one room.
async fn learn(pool: &PgPool, query: &Query) -> Result<Statements, sqlx::Error> {
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
    let canonical = canonical.concat();
    let answer = if is_boolean {
        format!("select coalesce((select bool_or(answer.allowed) from (\n{inner}\n) as answer (allowed)), false){canonical}")
    } else {
        format!("select exists (\n{inner}\n){canonical}")
    };
    // A query that is valid by itself may be invalid inside, such as one that writes.
    connection.prepare(AssertSqlSafe(answer.as_str()).into_sql_str()).await?;
    Ok(Statements {
        answer,
        values: format!("select true{canonical}"),
    })
}
