//! The codes of problems that only the database shows. They are stable: scripts and documentation may use them.

/// A model that the project does not have.
pub const UNKNOWN_MODEL: &str = "unknown-model";
/// A model that the project has, without the table that Django names it.
pub const MISSING_TABLE: &str = "missing-table";
/// A table that the database does not have.
pub const UNKNOWN_TABLE: &str = "unknown-table";
/// A field or column that the table does not have.
pub const UNKNOWN_COLUMN: &str = "unknown-column";
/// A column that a rule reads and the watch does not capture.
pub const NOT_CAPTURED: &str = "not-captured";
/// Something that no trigger can watch: a view, a foreign table, Instant's own table, a column computed when it is read.
pub const CANNOT_WATCH: &str = "cannot-watch";
/// Rows that two watches cover.
pub const WATCHED_TWICE: &str = "watched-twice";
/// A table whose events have no key.
pub const NO_PRIMARY_KEY: &str = "no-primary-key";
/// A key that is checked at the end of a transaction.
pub const DEFERRABLE_KEY: &str = "deferrable-key";
/// A partition that is watched by itself.
pub const PARTITION: &str = "partition";
/// A column of `related` that is not a foreign key.
pub const NO_FOREIGN_KEY: &str = "no-foreign-key";
/// A table of `related` without a key of one column.
pub const NO_SINGLE_KEY: &str = "no-single-key";
/// A key of `related` that several rows may have.
pub const LOOSE_KEY: &str = "loose-key";
/// An entry of `related` with the name of a column.
pub const NAMED_LIKE_COLUMN: &str = "named-like-column";
/// A field that is already captured under another name.
pub const REPEATED_FIELD: &str = "repeated-field";
/// A group that the project does not have.
pub const UNKNOWN_GROUP: &str = "unknown-group";
/// A personal target whose field holds no user's key.
pub const NOT_A_USER: &str = "not-a-user";
/// A role that PostgreSQL does not have.
pub const UNKNOWN_ROLE: &str = "unknown-role";
/// A table of users that does not belong to a Django user model.
pub const NO_USERS: &str = "no-users";
/// A table of users that does not show who is active.
pub const NO_ACTIVE_FLAG: &str = "no-active-flag";
