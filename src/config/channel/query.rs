//! `allow = "select …"`: a query with named parameters.

use super::Pattern;
use crate::config::diagnostic::{Diagnostic, code};
use crate::config::nearest::did_you_mean;
use crate::config::parser::Parser;
use crate::config::{Span, Spanned};

/// The name of the parameter that holds the key of the user who asks.
pub const USER: &str = "user_id";

/// A query that admits the users for whom it finds a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Its location.
    pub span: Span,
    /// Its text, split at its parameters.
    pub parts: Vec<Part>,
}

/// A piece of a query's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// SQL as written.
    Text(String),
    /// `$name`, without the dollar sign.
    Parameter(String),
}

impl Query {
    /// Returns the distinct names of its parameters, in the order of their first use.
    #[must_use]
    pub fn parameters(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for part in &self.parts {
            match part {
                Part::Parameter(name) if !names.contains(&name.as_str()) => names.push(name),
                _ => {}
            }
        }
        names
    }

    /// Returns its text with each parameter replaced by the result of `parameter` for its index in [`Query::parameters`].
    pub fn text(&self, parameter: impl Fn(usize) -> String) -> String {
        let names = self.parameters();
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(sql) => text.push_str(sql),
                Part::Parameter(name) => {
                    let number = names.iter().position(|known| known == name).unwrap_or_default();
                    text.push_str(&parameter(number));
                }
            }
        }
        text
    }
}

/// Parses the query in `text`, whose parameters are the pattern's variables and the user. `None` if it is invalid.
pub(super) fn parse(text: &Spanned<String>, pattern: Option<&Pattern>, parser: &mut Parser<'_>) -> Option<Query> {
    let mut known: Vec<&str> = pattern.into_iter().flat_map(Pattern::variables).collect();
    known.push(USER);
    let sql = text.value.trim_end().trim_end_matches(';');
    let mut parts = Vec::new();
    let mut failed = false;
    let (mut start, mut at) = (0, 0);
    while at < sql.len() {
        let rest = &sql[at..];
        if let Some(length) = opaque(rest) {
            at += length;
        } else if let Some(after) = rest.strip_prefix('$') {
            let length = after.bytes().take_while(|byte| is_name_byte(*byte)).count();
            let name = &after[..length];
            if !known.contains(&name) && pattern.is_some() {
                let message = format!("`${name}` is not a parameter of this channel");
                let span = parser.inside(text, at..at + 1 + length);
                let help = did_you_mean(name, known.iter().copied());
                let help = help.unwrap_or_else(|| format!("known parameters: ${}", known.join(", $")));
                parser.report(Diagnostic::error(code::BAD_VALUE, span, message, "nothing is bound to it").help(help));
                failed = true;
            }
            parts.push(Part::Text(sql[start..at].to_owned()));
            parts.push(Part::Parameter(name.to_owned()));
            at += 1 + length;
            start = at;
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    parts.push(Part::Text(sql[start..].to_owned()));
    (!failed && pattern.is_some()).then_some(Query {
        span: text.span.clone(),
        parts,
    })
}

/// Returns whether `name` is a valid parameter name.
pub(super) fn is_name(name: &str) -> bool {
    name.bytes().next().is_some_and(|first| !first.is_ascii_digit()) && name.bytes().all(is_name_byte)
}

const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Returns the length of the token at the beginning of `sql` if it cannot contain a parameter: a string, a quoted name, a comment,
/// or a word, which may contain a dollar sign.
fn opaque(sql: &str) -> Option<usize> {
    let until = |begin: usize, end: &str| {
        let found = sql.get(begin..).and_then(|rest| rest.find(end));
        Some(found.map_or(sql.len(), |found| begin + found + end.len()))
    };
    match sql.as_bytes() {
        [b'\'', ..] => until(1, "'"),
        [b'e' | b'E', b'\'', ..] => Some(escaped(sql)),
        [b'"', ..] => until(1, "\""),
        [b'-', b'-', ..] => until(2, "\n"),
        [b'/', b'*', ..] => Some(comment(sql)),
        [b'$', ..] => {
            let tag = sql[1..].bytes().take_while(|byte| is_name_byte(*byte)).count() + 2;
            let delimiter = sql.get(..tag).filter(|delimiter| delimiter.ends_with('$'))?;
            until(tag, delimiter)
        }
        [first, ..] if is_name_byte(*first) || !first.is_ascii() => Some(
            sql.find(|letter: char| letter.is_ascii() && !letter.is_ascii_alphanumeric() && !"_$".contains(letter))
                .unwrap_or(sql.len()),
        ),
        _ => None,
    }
}

/// Returns the length of `e'…'`, in which a backslash escapes a quote.
fn escaped(sql: &str) -> usize {
    let mut skip = false;
    for (at, byte) in sql.bytes().enumerate().skip(2) {
        match byte {
            _ if skip => skip = false,
            b'\\' => skip = true,
            b'\'' => return at + 1,
            _ => {}
        }
    }
    sql.len()
}

/// Returns the length of a block comment, which may be nested.
fn comment(sql: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < sql.len() {
        match &sql.as_bytes()[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] if depth == 1 => return at + 2,
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    sql.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(sql: &str) -> String {
        let name = Spanned {
            value: "room:{room_id}".to_owned(),
            span: 0..0,
        };
        let environment = |_: &str| None;
        let mut parser = Parser::new(sql, &environment);
        let pattern = crate::config::channel::pattern::parse(&name, "", &mut parser);
        let text = Spanned {
            value: sql.to_owned(),
            span: 0..sql.len(),
        };
        let query = parse(&text, pattern.as_ref(), &mut parser).unwrap();
        assert_eq!(parser.diagnostics.items, []);
        query.text(|number| format!("<{number}>"))
    }

    #[test]
    fn parameters_are_found_wherever_sql_allows_them_and_nowhere_else() {
        assert_eq!(parsed("select $user_id, $room_id+$user_id;"), "select <0>, <1>+<0>");
        for same in [
            "select '$room_id', '''$x', e'\\'$x'",
            "select \"$x\", a$x from b -- $x",
            "select 1 /* $x /* $y */ $z */",
            "select $$ $x $$, $tag$ $x $$ $tag$",
        ] {
            assert_eq!(parsed(same), same);
        }
        assert_eq!(parsed("select '' , $room_id -- '\n, $user_id"), "select '' , <0> -- '\n, <1>");
    }
}
