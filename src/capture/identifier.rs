//! SQL identifiers and literals.

use std::fmt;

/// A table, by schema and name, in exact case.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QualifiedName {
    /// The schema.
    pub schema: String,
    /// The name in it.
    pub name: String,
}

impl QualifiedName {
    /// Returns the name `schema.name`.
    pub fn new(schema: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            schema: schema.into(),
            name: name.into(),
        }
    }

    /// Returns the name in SQL: `"schema"."name"`.
    #[must_use]
    pub fn sql(&self) -> String {
        format!("{}.{}", identifier(&self.schema), identifier(&self.name))
    }
}

/// Human-readable: `schema.name`, never parsed again.
impl fmt::Display for QualifiedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

/// Returns a quoted identifier. Always quoted: plpgsql ends an expression at a bare `then` or `loop`, whatever it names.
#[must_use]
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Returns a string literal. With a backslash it is an `E'…'`: a function's body is parsed under its caller's
/// `standard_conforming_strings`, and that form means the same under either value.
#[must_use]
pub fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        format!("E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

/// Returns the body of a function between dollar quotes whose tag does not occur in it.
#[must_use]
pub fn dollar_quoted(body: &str) -> String {
    let mut tag = "$instant$".to_owned();
    while body.contains(&tag) {
        // It ends: a tag that is longer than the body does not occur in it.
        tag.insert(1, '_');
    }
    format!("{tag}{body}{tag}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_survive_in_names_and_texts() {
        assert_eq!(identifier("od\"d"), "\"od\"\"d\"");
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("a\\'b"), "E'a\\\\''b'");
    }

    #[test]
    fn the_dollar_tag_avoids_the_body() {
        assert_eq!(dollar_quoted("a"), "$instant$a$instant$");
        assert_eq!(dollar_quoted("$instant$"), "$_instant$$instant$$_instant$");
    }
}
