//! The statement on the project's tables, and the settings of its session.

use std::error::Error as StdError;
use std::fmt::Write;
use std::sync::Arc;

use bytes::BytesMut;
use tokio_postgres::types::{Format, IsNull, ToSql, Type};
use tokio_postgres::{Client, Error, Row, Statement};

use crate::capture::identifier::{QualifiedName, identifier};
use crate::capture::trigger::PINNED;
use crate::capture::watch::{Column, Lookup};

/// Makes the session read-only, with the settings under which captured values are written. Each wait for a table under an exclusive
/// lock is short, and a lookup without an index ends before the relay would consider the connection dead.
pub(in crate::outbox) async fn pin(client: &Client) -> Result<(), Error> {
    let mut settings = "set default_transaction_read_only = on; set lock_timeout = '2s'; set statement_timeout = '8s'".to_owned();
    for (name, value) in PINNED {
        // Writing to a String cannot fail.
        let _ = write!(settings, "; set {name} = '{value}'");
    }
    client.batch_execute(&settings).await
}

/// The statement that reads the rows with some keys: the key as text, then the columns as JSON. Its only parameter, in place of
/// `placeholder`, is an array of keys. It takes ACCESS SHARE on the table, like any `select`.
pub(in crate::outbox) fn statement(lookup: &Lookup, placeholder: &str) -> String {
    let json = |column: &Column| format!("to_json({}{})", identifier(&column.name), column.encoding.cast());
    let mut columns = String::new();
    for column in &lookup.columns {
        // Writing to a String cannot fail.
        let _ = write!(columns, ", {}::text", json(column));
    }
    format!(
        "select {} #>> '{{}}'{columns} from {} where {} = any ({placeholder})",
        json(&lookup.key),
        QualifiedName::new(&lookup.schema, &lookup.table).sql(),
        identifier(&lookup.key.name),
    )
}

/// Prepares [`statement`].
pub(in crate::outbox) async fn prepare(client: &Client, lookup: &Lookup) -> Result<Statement, Error> {
    client.prepare(&statement(lookup, "$1")).await
}

/// Runs [`prepare`]'s statement.
pub(in crate::outbox) async fn read(client: &Client, statement: &Statement, keys: &[Arc<str>]) -> Result<Vec<Row>, Error> {
    client.query(statement, &[&Keys(keys)]).await
}

/// An array of keys, as text: PostgreSQL parses it as an array of the key column's type, whichever that is.
#[derive(Debug)]
struct Keys<'a>(&'a [Arc<str>]);

impl ToSql for Keys<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        let mut text = String::from("{");
        for (index, key) in self.0.iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            text.push('"');
            for letter in key.chars() {
                if matches!(letter, '"' | '\\') {
                    text.push('\\');
                }
                text.push(letter);
            }
            text.push('"');
        }
        text.push('}');
        out.extend_from_slice(text.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    tokio_postgres::types::to_sql_checked!();
}
