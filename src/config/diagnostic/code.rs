//! The codes of problems in `instant.toml`. They are stable: scripts and documentation may name them.

/// The text is not TOML.
pub const SYNTAX: &str = "syntax";
/// A key or table is defined twice.
pub const DUPLICATE_KEY: &str = "duplicate-key";
/// A key that this version does not support.
pub const UNKNOWN_KEY: &str = "unknown-key";
/// A required key or table is missing.
pub const MISSING_KEY: &str = "missing-key";
/// A value of the wrong type for its key.
pub const WRONG_TYPE: &str = "wrong-type";
/// A value of the right type that makes no sense there.
pub const BAD_VALUE: &str = "bad-value";
/// `${NAME}` without such a variable in the environment.
pub const UNSET_VARIABLE: &str = "unset-variable";
/// A value that looks like a reference to an environment variable, but is taken literally.
pub const LITERAL_EXPANSION: &str = "literal-expansion";
/// A template or condition that does not parse.
pub const TEMPLATE_SYNTAX: &str = "template-syntax";
/// A template or condition uses a filter or test that does not exist.
pub const UNKNOWN_FILTER: &str = "unknown-filter";
/// A template or condition reads a name that is not in scope.
pub const UNKNOWN_VARIABLE: &str = "unknown-variable";
/// A template sets a name that is already in scope.
pub const SHADOWED_NAME: &str = "shadowed-name";
/// A rule names a column that is not captured, and a captured one has nearly that name.
pub const UNKNOWN_COLUMN: &str = "unknown-column";
/// A rule names a column that is only captured if it is the primary key, which only the database can tell.
pub const UNCERTAIN_COLUMN: &str = "uncertain-column";
/// A row of another table is read as a whole, or published as one.
pub const WHOLE_RELATION: &str = "whole-relation";
/// Two keys that are mutually exclusive.
pub const EXCLUSIVE_KEYS: &str = "exclusive-keys";
/// A rule, or a part of one, that nothing can trigger.
pub const NEVER_FIRES: &str = "never-fires";
/// A rule for `truncate` whose audience depends on a row, or that fires on nothing else and reads a row.
pub const TRUNCATE_WITHOUT_ROW: &str = "truncate-without-row";
/// A text reads a row that some of the rule's operations do not have.
pub const MISSING_ROW: &str = "missing-row";
/// A channel that Centrifugo cannot carry, or to which nobody can be admitted.
pub const BAD_CHANNEL: &str = "bad-channel";
/// A hub to which nobody can connect.
pub const NOBODY_CONNECTS: &str = "nobody-connects";
/// A channel of a rule that nobody may subscribe to.
pub const UNHEARD_CHANNEL: &str = "unheard-channel";
/// A rule that notifies the same audience of the same changes, under the same event class, as one above it.
pub const DUPLICATE_RULE: &str = "duplicate-rule";
/// A model or table that is watched twice.
pub const DUPLICATE_WATCH: &str = "duplicate-watch";
/// A name that occurs twice in a list.
pub const DUPLICATE_NAME: &str = "duplicate-name";
/// A channel's query that PostgreSQL cannot prepare; only found with a database.
pub const BROKEN_QUERY: &str = "broken-query";
/// A file without any watch.
pub const NOTHING_WATCHED: &str = "nothing-watched";
