//! `instant.toml` as domain types: parsed once, with all problems reported together, each with its line.

pub mod channel;
mod column;
pub mod diagnostic;
mod django;
mod document;
pub(crate) mod duration;
mod environment;
mod file;
mod hub;
mod key;
mod namespace;
pub(crate) mod nearest;
mod parser;
pub(crate) mod related;
mod reload;
mod root;
mod rule;
pub mod schema;
mod server;
mod table_name;
mod target;
pub mod template;
mod toml_table;
mod watch;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use crate::change::Operations;

pub use channel::ChannelRule;
pub use django::{Django, SessionEngine, UserModel};
pub use file::{FILE_NAME, LoadError, find, load};
pub use hub::Hub;
pub use server::Server;

/// A byte range in the text of `instant.toml`.
pub type Span = std::ops::Range<usize>;

/// A value and its location in `instant.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value itself.
    pub value: T,
    /// Its location.
    pub span: Span,
}

/// The text of a configuration file, kept for diagnostics. Its `Debug` form leaves the text out, which may hold secrets.
#[derive(Clone)]
pub struct Source {
    /// The file it was read from, as displayed to the user.
    pub path: PathBuf,
    /// Its whole text.
    pub text: Arc<str>,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Source")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// The whole configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it was parsed from.
    pub source: Source,
    /// The site's name, included in every event.
    pub site: Option<String>,
    /// The database that Instant watches.
    pub database: Database,
    /// The Centrifugo server that receives the publications; `None` if the hub of this process does.
    pub centrifugo: Option<Centrifugo>,
    /// The settings of the hub, used without Centrifugo.
    pub hub: Hub,
    /// How the project's sessions are read.
    pub django: Option<Django>,
    /// The HTTP server that answers Centrifugo and browsers.
    pub server: Option<Server>,
    /// How long settled changes stay in the outbox.
    pub retention: Duration,
    /// How long rows of other tables are cached.
    pub related_ttl: Duration,
    /// The prefix of every target's channel, empty by default.
    pub prefix: String,
    /// Whether anonymous visitors may connect and subscribe to `public`.
    pub anonymous: bool,
    /// The rules for channels other than those of targets, in the order of the file.
    pub channels: Vec<ChannelRule>,
    /// The watched models, in the order of the file.
    pub watches: Vec<Watch>,
}

/// The message for a malformed database URL. It shows no part of the URL, which contains a password.
pub const UNREADABLE_URL: &str = "the database URL cannot be read; it must look like postgresql://USER:PASSWORD@HOST:PORT/NAME";

/// `[database]`.
#[derive(Clone, Debug)]
pub struct Database {
    /// A libpq URL of a direct connection.
    pub url: SecretString,
    /// The role that `run` connects as, if `apply` runs as another; `apply` grants it the privileges it needs.
    pub relay_role: Option<Spanned<String>>,
}

/// `[centrifugo]`.
#[derive(Clone, Debug)]
pub struct Centrifugo {
    /// The server's base URL, without `/api`.
    pub url: String,
    /// The key of its APIs.
    pub api_key: SecretString,
    /// `client.token.hmac_secret_key`; `None` if it is derived from `api_key`.
    pub token_secret: Option<SecretString>,
    /// The address of its gRPC API, which then receives the publications; `None` if the HTTP API does.
    pub grpc_url: Option<String>,
}

/// `[[watch]]`: a model and the columns captured from it.
#[derive(Clone, Debug)]
pub struct Watch {
    /// The watched model or table.
    pub subject: Spanned<Subject>,
    /// Django field or column names; if empty, only the key is captured.
    pub fields: Vec<Spanned<String>>,
    /// The rows of other tables that its rules may read, parents before children.
    pub related: Vec<Related>,
    /// The rules that publish a change; never empty, since a watch without rules has the default one.
    pub rules: Vec<Rule>,
}

/// An entry of `related`: a row of another table, found by a key in the watched row or in the previous row of the path.
#[derive(Clone, Debug)]
pub struct Related {
    /// The path from the watched row: `customer`, `customer.user`.
    pub path: Spanned<String>,
    /// The column or field that holds the key, if it is not the last name of the path.
    pub column: Option<Spanned<String>>,
    /// The other table, if no foreign key references it.
    pub table: Option<Spanned<TableName>>,
    /// The column of the other table in which the key is looked up; `None` for the one that the foreign key references, or the
    /// primary key.
    pub key: Option<Spanned<String>>,
    /// Django field or column names to read.
    pub fields: Vec<Spanned<String>>,
}

/// The subject of a watch. With only `model`, the table follows Django's naming; `table` next to it overrides that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// `model = "app.Model"`, with `table = "…"` if the model sets `db_table`.
    Model {
        /// The app label.
        app: String,
        /// The model's class name, as written (`Order`, or `Order_tags` for a many-to-many table).
        model: String,
        /// The table, if it is not Django's default.
        table: Option<TableName>,
    },
    /// `table = "legacy.orders"`.
    Table(TableName),
}

/// A table as named in `instant.toml`: exact case, quotes removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableName {
    /// The schema; `None` if the table is found through the connection's search path.
    pub schema: Option<String>,
    /// The table's name.
    pub name: String,
}

/// `[[watch.rule]]`: turns a change into a publication.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The operations it applies to.
    pub on: Operations,
    /// An update counts only if one of these fields changed; if empty, any captured column.
    pub changed: Vec<Spanned<String>>,
    /// A condition on the row.
    pub when: Option<Expression>,
    /// Whether the audience of a row is notified when the row stops matching `when`.
    pub follow: bool,
    /// Its audience.
    pub destination: Destination,
    /// The string that browsers dispatch on; `None` for `<Model> created`, `edited`, `deleted` or `truncated`.
    pub event_class: Option<Template>,
    /// The human-readable text; `None` for the model and key.
    pub message: Option<Template>,
    /// The published fields; `None` for every captured column of the watch's `fields`.
    pub data: Option<Vec<Spanned<String>>>,
    /// When many changes of one transaction become one publication; `None` for never.
    pub collapse: Option<Collapse>,
    /// The rule's location: its table header, or the watch's for the default rule.
    pub span: Span,
}

/// `collapse = { above = 20 }`: many changes of one transaction become one publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collapse {
    /// The most changes of one kind on one channel that are published one by one; at least one.
    pub above: u32,
    /// The human-readable text of the publication that more of them become; `None` for the default.
    pub message: Option<Template>,
}

/// The destination of a rule's publications.
#[derive(Clone, Debug)]
pub enum Destination {
    /// `channel = "…"`, a template.
    Channel(Template),
    /// `target = "public"`.
    Public,
    /// `target = "users"`.
    Users,
    /// `target = "staff"`.
    Staff,
    /// `target = "superuser"`.
    Superuser,
    /// `target = { group = "editors" }`, a template.
    Group(Template),
    /// `target = { user = "customer" }`, a field that holds a user's key.
    User(Spanned<String>),
}

/// A minijinja template, checked for syntax.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// Its text.
    pub text: String,
    /// Its location.
    pub span: Span,
    /// The names that it reads; empty for a constant.
    pub references: Vec<Reference>,
}

/// A minijinja expression, checked for syntax.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression {
    /// Its text.
    pub text: String,
    /// Its location.
    pub span: Span,
    /// The names that it reads.
    pub references: Vec<Reference>,
}

/// A name that a template or an expression reads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reference {
    /// `row.COLUMN`.
    Row(String),
    /// `old.COLUMN`.
    Old(String),
    /// `row.RELATION.COLUMN` or `old.RELATION.COLUMN`, without the side: `customer.user.email`.
    Related(Side, String),
    /// `row` or `old` as a whole (iterated, passed to a filter, indexed by a variable).
    Whole(Side),
    /// One of `pk`, `op`, `verb`, `model`, `at`; also `count` if many changes became one publication.
    Variable(String),
}

/// A version of the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The new version, or the old one of a delete.
    Row,
    /// The version before an update.
    Old,
}

impl Reference {
    /// Returns the version of the row that is read; `None` for a variable.
    #[must_use]
    pub const fn side(&self) -> Option<Side> {
        match self {
            Self::Row(_) => Some(Side::Row),
            Self::Old(_) => Some(Side::Old),
            Self::Related(side, _) | Self::Whole(side) => Some(*side),
            Self::Variable(_) => None,
        }
    }
}
