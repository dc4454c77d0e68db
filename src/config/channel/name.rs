//! Checks the names of channels that rules publish to, without a database: what Centrifugo cannot carry.

use crate::config::diagnostic::{Diagnostic, code};
use crate::config::parser::Parser;
use crate::config::{Destination, Span, Spanned, Template};

/// The most bytes in a channel that Centrifugo accepts.
pub const MAX_BYTES: usize = 255;
/// The prefix of a group's channel.
pub(super) const GROUP: &str = "group.";
/// The prefix of a private channel, to which Centrifugo admits only by token; the namespace comes after it.
const PRIVATE: char = '$';

/// Returns the namespace of a channel: the text before its first colon, without the prefix of a private channel.
#[must_use]
pub fn namespace(channel: &str) -> Option<&str> {
    let channel = channel.strip_prefix(PRIVATE).unwrap_or(channel);
    channel.split_once(':').map(|(namespace, _)| namespace)
}

/// Returns whether Centrifugo accepts a namespace of this name.
pub(in crate::config) fn is_namespace(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    name.len() >= 2 && name.bytes().all(fits)
}

/// Reports a `[channels] prefix` with which Centrifugo cannot carry any channel.
pub(in crate::config) fn check_prefix(prefix: &Spanned<String>, parser: &mut Parser<'_>) {
    let whole = 0..prefix.value.len();
    check_text(prefix, std::slice::from_ref(&whole), parser);
}

/// Reports a destination whose channels Centrifugo cannot carry, whatever the row.
pub(in crate::config) fn check(destination: &Destination, prefix: &str, parser: &mut Parser<'_>) {
    match destination {
        Destination::Channel(template) => {
            if let Some(literals) = literals(&template.text) {
                check_text(&spanned(template), &literals, parser);
            }
        }
        Destination::Group(template) => {
            let Some(literals) = literals(&template.text) else { return };
            let name = literals.into_iter().flat_map(|range| template.text[range].bytes());
            let escaped = |byte: u8| {
                let is_plain = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
                if is_plain { 1 } else { "%20".len() }
            };
            let length = prefix.len() + GROUP.len() + name.map(escaped).sum::<usize>();
            if length > MAX_BYTES {
                too_long(length, template.span.clone(), parser);
            }
        }
        Destination::Public | Destination::Users | Destination::Staff | Destination::Superuser | Destination::User(_) => {}
    }
}

fn spanned(template: &Template) -> Spanned<String> {
    Spanned {
        value: template.text.clone(),
        span: template.span.clone(),
    }
}

/// Checks the parts of a channel's name that do not depend on the row.
fn check_text(value: &Spanned<String>, literals: &[Span], parser: &mut Parser<'_>) {
    let text = value.value.as_str();
    let length: usize = literals.iter().map(ExactSizeIterator::len).sum();
    if length > MAX_BYTES {
        too_long(length, value.span.clone(), parser);
    }
    for range in literals {
        if let Some((at, letter)) = text[range.clone()].char_indices().find(|(_, letter)| !letter.is_ascii()) {
            let start = range.start + at;
            let span = parser.inside(value, start..start + letter.len_utf8());
            let message = format!("a channel cannot contain the character `{letter}`");
            let problem = Diagnostic::error(code::BAD_CHANNEL, span, message, "not ASCII");
            let help = "Centrifugo admits nobody to such a channel: write it in ASCII letters, or name it by a key";
            parser.report(problem.help(help.to_owned()));
            return;
        }
    }
    let Some(first) = literals.first().filter(|range| range.start == 0) else {
        return;
    };
    let head = &text[first.clone()];
    if let Some(name) = namespace(head).filter(|name| !name.is_empty() && !is_namespace(name)) {
        let start = usize::from(head.starts_with(PRIVATE));
        let span = parser.inside(value, start..start + name.len());
        let message = format!("Centrifugo cannot have a namespace `{name}`");
        let label = "the text before the first colon is a namespace";
        let problem = Diagnostic::error(code::BAD_CHANNEL, span, message, label);
        let help = "a namespace has two or more ASCII letters, digits, `-` or `_`";
        parser.report(problem.help(help.to_owned()));
    }
}

fn too_long(length: usize, span: Span, parser: &mut Parser<'_>) {
    let message = format!("this channel has {length} bytes or more, and Centrifugo accepts at most {MAX_BYTES}");
    let problem = Diagnostic::error(code::BAD_CHANNEL, span, message, "too long");
    parser.report(problem.help("name it by a key instead of a text".to_owned()));
}

/// Returns the parts of a template that it always prints; `None` if statements decide what it prints.
pub(super) fn literals(text: &str) -> Option<Vec<Span>> {
    if text.contains("{%") {
        return None;
    }
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let opening = ["{{", "{#"]
            .into_iter()
            .filter_map(|mark| text[at..].find(mark))
            .min()
            .map_or(text.len(), |start| at + start);
        if opening > at {
            found.push(at..opening);
        }
        let closing = if text[opening..].starts_with("{#") { "#}" } else { "}}" };
        at = text[opening..]
            .find(closing)
            .map_or(text.len(), |end| opening + end + closing.len());
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_always_prints_the_text_outside_of_its_blocks() {
        let printed = |text: &str| literals(text).map(|ranges| ranges.into_iter().map(|range| text[range].to_owned()).collect());
        let some = |parts: &[&str]| Some(parts.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>());
        assert_eq!(printed("room:{{ row.id }}.x{# y #}"), some(&["room:", ".x"]));
        assert_eq!(printed("{{ row.id }}"), some(&[]));
        assert_eq!(printed("news"), some(&["news"]));
        assert_eq!(printed("a{{ broken"), some(&["a"]));
        assert_eq!(printed("{% if row.a %}é{% endif %}"), None);
    }
}
