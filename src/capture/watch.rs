//! A watch whose names are resolved in the database.

use crate::change::Operations;
use crate::config::{Collapse, Expression, Span, Template};

/// A watched table, and what is captured from it.
#[derive(Clone, Debug)]
pub struct Watch {
    /// `app.Model`, or the table as configured; the event's `model`.
    pub model: String,
    /// The model's bare name, the first word of the default event class.
    pub name: String,
    /// The table's schema.
    pub schema: String,
    /// The table's name.
    pub table: String,
    /// The name of this watch in the outbox: `schema.table`, never parsed again.
    pub source: String,
    /// The primary key's columns, in key order; empty if the table has none.
    pub key: Vec<Column>,
    /// The columns captured in addition to the key, in the order of `fields`.
    pub columns: Vec<Column>,
    /// The rows of other tables that rules may read, parents before children. The watched columns that hold their keys are captured.
    pub related: Vec<Relation>,
    /// The columns whose former value an update carries too, because a rule reads it.
    pub old: Vec<Column>,
    /// The operations that some rule fires on.
    pub operations: Operations,
    /// The rules, with their names resolved.
    pub rules: Vec<Rule>,
    /// The watch's position in `instant.toml`.
    pub span: Span,
}

/// A row of another table, whose key is in the watched row or in the row before it in the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    /// The names from the watched row on: `customer`, `customer.user`.
    pub path: String,
    /// The column that holds the key.
    pub column: Column,
    /// The lookup by that key.
    pub lookup: Lookup,
}

/// A lookup: columns of another table, read by a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// The table's schema.
    pub schema: String,
    /// The table's name.
    pub table: String,
    /// The column in which the key is looked up.
    pub key: Column,
    /// The columns that are read; the key's may be one of them.
    pub columns: Vec<Column>,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// The name of its type, with the schema unless that is `pg_catalog`; without length and precision, whose change no session notices.
    pub data_type: String,
    /// The encoding of its value as JSON.
    pub encoding: Encoding,
}

/// The encoding of a column's value as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As PostgreSQL's own `to_json`, which no session setting affects.
    Plain,
    /// As PostgreSQL's own `to_json`, under pinned `TimeZone`, `DateStyle`, `IntervalStyle`, `bytea_output` and `extra_float_digits`.
    Pinned,
    /// A decimal, as a string that keeps its scale, the way Django REST framework and `DjangoJSONEncoder` write it.
    Decimal,
    /// An array of decimals, as strings.
    Decimals,
}

impl Encoding {
    /// Returns the SQL cast of a value before it becomes JSON; empty for none.
    #[must_use]
    pub const fn cast(self) -> &'static str {
        match self {
            Self::Plain | Self::Pinned => "",
            Self::Decimal => "::text",
            Self::Decimals => "::text[]",
        }
    }
}

/// A rule with column names in place of field names.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The operations that it fires on.
    pub on: Operations,
    /// The columns of which an update must change one; empty if any captured column counts.
    pub changed: Vec<String>,
    /// The condition on the row, if any.
    pub when: Option<Expression>,
    /// Whether the audience of a row is notified when the row stops matching `when`.
    pub follow: bool,
    /// The columns that determine a row's audience: an update of one of them may make the row leave it. All are in the watch's `old`.
    /// Empty if rows never leave.
    pub moved_by: Vec<String>,
    /// The destination of its publications.
    pub destination: Destination,
    /// The event class; `None` for the default.
    pub event_class: Option<Template>,
    /// The message; `None` for the default.
    pub message: Option<Template>,
    /// The published columns; all are in the watch's `columns` or `key`.
    pub data: Vec<String>,
    /// The published columns of other tables, such as `customer.user.email`; all are in the watch's `related`.
    pub related_data: Vec<String>,
    /// How many changes of one transaction become one publication; `None` if they never do.
    pub collapse: Option<Collapse>,
    /// The rule's position in `instant.toml`.
    pub span: Span,
}

/// The destination of a rule's publications.
#[derive(Clone, Debug)]
pub enum Destination {
    /// A channel named by a template.
    Channel(Template),
    /// Everyone.
    Public,
    /// Everyone who is logged in.
    Users,
    /// Users with `is_staff`.
    Staff,
    /// Users with `is_superuser`.
    Superuser,
    /// A Django group, named by a template.
    Group(Template),
    /// The user whose key this column holds; null reaches nobody.
    User(String),
    /// The same with a column of another table: `customer.user_id`.
    RelatedUser(String),
}
