//! The pattern of a channel rule: `room:{room_id}`.

use super::USER;
use super::name::{MAX_BYTES, is_namespace};
use crate::config::Spanned;
use crate::config::diagnostic::{Diagnostic, code};
use crate::config::parser::Parser;

/// The most bytes in the value of a variable; a UUID has 36.
const MAX_VALUE_BYTES: usize = 128;
/// The characters allowed in a channel's name outside of variables, in addition to letters and digits. `#`, `$`, `*`, `&`, `/`
/// and `,` have a meaning in Centrifugo.
const LITERALS: &str = ":.-_~@+=!";

/// The pattern of a rule's channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Variable(String),
}

impl Pattern {
    /// Returns the pattern as written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the text before the first colon.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.text.split(':').next().unwrap_or_default()
    }

    /// Returns the common prefix of its channels.
    pub(super) fn head(&self) -> &str {
        self.text.split('{').next().unwrap_or_default()
    }

    /// Iterates over the names of its variables, in order.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Variable(name) => Some(name.as_str()),
            Piece::Literal(_) => None,
        })
    }

    /// Returns the values of its variables in `channel`, in order; `None` if it does not match. A value consists of ASCII
    /// letters, digits, `-` and `_`, so that it never contains a separator, space or wildcard.
    #[must_use]
    pub fn values(&self, channel: &str) -> Option<Vec<String>> {
        if channel.len() > MAX_BYTES {
            return None;
        }
        let mut values = Vec::new();
        let mut rest = channel;
        for piece in &self.pieces {
            match piece {
                Piece::Literal(literal) => rest = rest.strip_prefix(literal.as_str())?,
                Piece::Variable(_) => {
                    let length = rest.bytes().take_while(|byte| is_value(*byte)).count();
                    if !(1..=MAX_VALUE_BYTES).contains(&length) {
                        return None;
                    }
                    values.push(rest[..length].to_owned());
                    rest = &rest[length..];
                }
            }
        }
        rest.is_empty().then_some(values)
    }
}

const fn is_value(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// Parses a key of `[channels]` as a pattern. `None` if it is invalid, which has been reported.
pub(super) fn parse(name: &Spanned<String>, prefix: &str, parser: &mut Parser<'_>) -> Option<Pattern> {
    let wrong = match pieces(&name.value) {
        Ok(pieces) => match defect(&name.value, &pieces, prefix) {
            None => {
                let text = name.value.clone();
                return Some(Pattern { text, pieces });
            }
            Some(wrong) => wrong,
        },
        Err(wrong) => wrong,
    };
    let message = "this is not a valid channel name";
    let problem = Diagnostic::error(code::BAD_VALUE, name.span.clone(), message, wrong);
    parser.report(problem.help("write it like `[channels.\"room:{room_id}\"]`".to_owned()));
    None
}

fn pieces(text: &str) -> Result<Vec<Piece>, &'static str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (piece, after) = if let Some(inner) = rest.strip_prefix('{') {
            let (variable, after) = inner.split_once('}').ok_or("a `{` is not closed")?;
            (Piece::Variable(variable.to_owned()), after)
        } else {
            let (literal, after) = rest.split_at(rest.find('{').unwrap_or(rest.len()));
            (Piece::Literal(literal.to_owned()), after)
        };
        pieces.push(piece);
        rest = after;
    }
    Ok(pieces)
}

/// Returns what is wrong with a pattern, for the label at the caret.
fn defect(text: &str, pieces: &[Piece], prefix: &str) -> Option<&'static str> {
    let namespace = match pieces.first() {
        Some(Piece::Literal(first)) => first.split_once(':').map(|(namespace, _)| namespace),
        _ => None,
    };
    if !namespace.is_some_and(is_namespace) {
        return Some("it must begin with a name of two letters or more and a colon");
    }
    if prefix.split_once(':').map(|(name, _)| name) == namespace {
        return Some("the targets' prefix has the same name before its colon");
    }
    if text.len() > MAX_BYTES {
        return Some("it is too long");
    }
    let mut seen = Vec::new();
    for (at, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::Literal(literal) => {
                let is_invalid = |letter: char| !letter.is_ascii_alphanumeric() && !LITERALS.contains(letter);
                if literal.contains(is_invalid) {
                    return Some("it contains a character that a channel cannot have here");
                }
                if at > 0 && literal.bytes().next().is_some_and(is_value) {
                    return Some("the text after a variable must begin with a separator, such as a colon or a dot");
                }
            }
            Piece::Variable(_) if matches!(pieces.get(at + 1), Some(Piece::Variable(_))) => {
                return Some("two variables need a separator between them");
            }
            Piece::Variable(name) if name == USER => return Some("`user_id` is the user who asks; rename this variable"),
            Piece::Variable(name) if seen.contains(&name) => return Some("a variable occurs twice"),
            Piece::Variable(name) if !super::query::is_name(name) => {
                return Some("a variable's name consists of letters, digits and `_`");
            }
            Piece::Variable(name) => seen.push(name),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        let pieces = pieces(text).unwrap();
        assert_eq!(defect(text, &pieces, "shop:"), None, "{text}");
        let text = text.to_owned();
        Pattern { text, pieces }
    }

    #[test]
    fn a_channel_that_matches_gives_the_values_of_the_variables() {
        let room = pattern("room:{room_id}.{part}");
        assert_eq!(room.namespace(), "room");
        assert_eq!(room.variables().collect::<Vec<_>>(), ["room_id", "part"]);
        assert_eq!(room.values("room:7.a-b_C"), Some(vec!["7".to_owned(), "a-b_C".to_owned()]));
        assert_eq!(pattern("news:all").values("news:all"), Some(vec![]));
    }

    #[test]
    fn a_channel_with_separators_wildcards_encodings_or_too_long_parts_does_not_match() {
        let room = pattern("room:{room_id}");
        for channel in [
            "",
            "room",
            "room:",
            "room:7:8",
            "room:7#42",
            "$room:7",
            "room:7 ",
            " room:7",
            "room:7\n",
            "room:*",
            "room:%37",
            "room:7,8",
            "room:7;drop",
            "room:'7'",
            "ROOM:7",
            "room:{room_id}",
            "room:７",
            "room:7\0",
            "room:7/8",
            "x:7",
        ] {
            let found = room.values(channel);
            assert!(found.is_none(), "{channel}: {found:?}");
        }
        assert!(room.values(&format!("room:{}", "1".repeat(128))).is_some());
        assert!(room.values(&format!("room:{}", "1".repeat(129))).is_none());
    }
}
