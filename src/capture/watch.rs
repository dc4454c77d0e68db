//! A watch whose names have been found in the database.

use crate::change::Operations;
use crate::config::{Collapse, Expression, Span, Template};

/// A watched table and what is captured from it.
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
    /// What the outbox calls this watch: `schema.table`, never parsed again.
    pub source: String,
    /// The primary key's columns, in key order; empty when the table has none.
    pub key: Vec<Column>,
    /// The columns captured beside the key, in the order of `fields`, without those of the key.
    pub columns: Vec<Column>,
    /// The rows of other tables that rules may read; parents come before what they lead to. Watched columns that hold their keys
    /// are captured.
    pub related: Vec<Relation>,
    /// The columns whose former value an update carries too, because a rule reads it.
    pub old: Vec<Column>,
    /// The operations that some rule hears.
    pub operations: Operations,
    /// What becomes of a change, names resolved.
    pub rules: Vec<Rule>,
    /// The watch's place in `instant.toml`.
    pub span: Span,
}

/// A row of another table, by a key that the watched row holds, or the row before it in the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    /// The names from the watched row on: `customer`, `customer.user`.
    pub path: String,
    /// The column that holds the key.
    pub column: Column,
    /// What is read by it.
    pub lookup: Lookup,
}

/// Columns of another table, read by a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// The table's schema.
    pub schema: String,
    /// The table's name.
    pub table: String,
    /// The column that the key is looked up in.
    pub key: Column,
    /// The columns read beside it; the key's may be one of them.
    pub columns: Vec<Column>,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// The name of its type, with the schema unless that is `pg_catalog`; without a length or precision, whose change no session notices.
    pub data_type: String,
    /// How its value becomes JSON.
    pub encoding: Encoding,
}

/// How a column's value becomes JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As PostgreSQL's own `to_json`, whatever the session's settings.
    Plain,
    /// As PostgreSQL's own `to_json`, under pinned `TimeZone`, `IntervalStyle`, `bytea_output` and `extra_float_digits`.
    Pinned,
    /// A decimal, as a string that keeps its scale, the way Django REST framework and `DjangoJSONEncoder` write it.
    Decimal,
    /// An array of decimals, as strings.
    Decimals,
}

impl Encoding {
    /// What PostgreSQL is to make of the value before it becomes JSON.
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
    /// The operations it hears.
    pub on: Operations,
    /// An update counts only when one of these columns changed; empty: any captured column.
    pub changed: Vec<String>,
    /// A condition on the row.
    pub when: Option<Expression>,
    /// Whether the audience of a row is told when the row stops matching `when`.
    pub follow: bool,
    /// The columns that decide who hears a row: where an update changes one of them, the row may leave its audience. All are in the
    /// watch's `old`. Empty: rows never leave.
    pub moved_by: Vec<String>,
    /// Who hears it.
    pub destination: Destination,
    /// The event class, if not the default.
    pub event_class: Option<Template>,
    /// The message, if not the default.
    pub message: Option<Template>,
    /// The columns published; all in the watch's `columns` or `key`.
    pub data: Vec<String>,
    /// The columns of other tables published: `customer.user.email`; all in the watch's `related`.
    pub related_data: Vec<String>,
    /// Whether many changes of one transaction become one publication.
    pub collapse: Option<Collapse>,
    /// The rule's place in `instant.toml`.
    pub span: Span,
}

/// Where a rule's publications go.
#[derive(Clone, Debug)]
pub enum Destination {
    /// A channel named by a template.
    Channel(Template),
    /// Everyone.
    Public,
    /// Who is logged in.
    Users,
    /// Users with `is_staff`.
    Staff,
    /// Users with `is_superuser`.
    Superuser,
    /// A Django group, named by a template.
    Group(Template),
    /// The user whose key this column holds; a null reaches nobody.
    User(String),
    /// The same with a column of another table: `customer.user_id`.
    RelatedUser(String),
}
