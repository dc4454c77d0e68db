//! Recovers the readable part of a TOML document with syntax errors.

use super::Span;
use super::diagnostic::{Diagnostic, code};
use super::parser::Parser;

/// The most syntax errors that are reported; a file with more is not TOML.
const LIMIT: usize = 50;
/// The openings of values that may span several lines.
const OPENINGS: [&str; 4] = ["[", "{", "\"\"\"", "'''"];

/// Returns a valid TOML text of the same length: each invalid statement is reported and blanked, so that the rest of the file can
/// still be checked. Duplicate keys are reported and left. Empty if the text cannot be repaired.
pub(super) fn repair(parser: &mut Parser<'_>) -> String {
    let mut text = parser.text.to_owned();
    for _ in 0..LIMIT {
        let (_, errors) = toml::de::DeTable::parse_recoverable(&text);
        let (duplicates, errors): (Vec<_>, Vec<_>) = errors.iter().partition(|error| error.message() == "duplicate key");
        let Some(first) = errors
            .iter()
            .min_by_key(|error| error.span().map_or(usize::MAX, |span| span.start))
        else {
            for error in duplicates {
                let span = error.span().unwrap_or_default();
                let message = format!("{} is defined twice", key(&text, &span));
                parser.report(Diagnostic::error(code::DUPLICATE_KEY, span, message, "here again"));
            }
            return text;
        };
        let at = first.span().unwrap_or(text.len()..text.len());
        let (span, statement, message) = match unclosed(&text, &at, &errors) {
            Some((span, statement, message)) => (span, statement, message),
            None => (at.clone(), statement(&text, at.start), first.message()),
        };
        let (title, label) = message.split_once(", expected ").unwrap_or((message, ""));
        let label = if label.is_empty() {
            String::new()
        } else {
            format!("expected {label}")
        };
        parser.report(Diagnostic::error(code::SYNTAX, span, title, label));
        if statement.is_empty() {
            return String::new();
        }
        blank(&mut text, statement);
    }
    String::new()
}

/// Returns the name of a key as it may appear in a message.
fn key(text: &str, span: &Span) -> String {
    text.get(span.clone())
        .filter(|key| super::toml_table::is_printable(key))
        .map_or("a key".to_owned(), |key| format!("`{key}`"))
}

/// Returns the lines of the statement around `at`. A list, inline table or multi-line string extends to the next line that begins
/// a statement. A header includes all lines below it, which would otherwise belong to the previous table.
fn statement(text: &str, at: usize) -> Span {
    let line = |start: usize| text[start..].split_inclusive('\n').next().unwrap_or_default();
    let own = lines(text)
        .map(|(start, _)| start)
        .take_while(|start| *start <= at)
        .last()
        .unwrap_or_default();
    let starts: Vec<usize> = lines(text)
        .filter(|(_, line)| begins_statement(line))
        .map(|(start, _)| start)
        .collect();
    let spans_lines =
        |start: usize| value(line(start)).is_some_and(|value| OPENINGS.iter().any(|opening| value.starts_with(opening)));
    let begun = starts.iter().copied().take_while(|start| *start <= at).last();
    let first = begun.filter(|start| *start == own || spans_lines(*start)).unwrap_or(own);
    let header = is_header(line(first));
    if !header && !spans_lines(first) {
        return first..own + line(own).len();
    }
    let end = starts
        .into_iter()
        .find(|start| *start > at && (!header || is_header(line(*start))));
    first..end.unwrap_or(text.len())
}

/// Returns the text after a line's equals sign.
fn value(line: &str) -> Option<&str> {
    line.split_once('=').map(|(_, value)| value.trim_start())
}

/// If the first error, at `at`, is caused by an unclosed value: returns its opening, its statement, and a better message.
fn unclosed(text: &str, at: &Span, errors: &[&toml::de::Error]) -> Option<(Span, Span, &'static str)> {
    let kinds: [(&str, &[&str], &'static str); 3] = [
        ("invalid multi-line", &["\"\"\"", "'''"], "unclosed multi-line string"),
        ("unclosed array", &["["], "unclosed array"),
        ("unclosed inline table", &["{"], "unclosed inline table"),
    ];
    let (word, openings, title) = kinds
        .into_iter()
        .find(|(word, ..)| errors.iter().any(|error| error.message().starts_with(word)))?;
    let opens = |line: &str| value(line).is_some_and(|value| openings.iter().any(|opening| value.starts_with(opening)));
    let candidates = lines(text).take_while(|(start, _)| *start < at.end.max(1));
    let (start, line) = candidates.filter(|(_, line)| begins_statement(line) && opens(line)).last()?;
    let opening = start + line.len() - value(line)?.len();
    if word == "invalid multi-line" {
        let open = text[opening..].matches(&text[opening..opening + 3]).count() == 1;
        return open.then(|| (opening..opening + 3, start..text.len(), title));
    }
    let statement = statement(text, start);
    let count = |bracket: char| text[statement.clone()].matches(bracket).count();
    let open = count('[') > count(']') || count('{') > count('}');
    open.then_some((opening..opening + 1, statement, title))
}

fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split_inclusive('\n').scan(0, |start, line| {
        let at = *start;
        *start += line.len();
        Some((at, line))
    })
}

/// Returns whether a line looks like `[header]` or `key = …`; its content may be broken.
fn begins_statement(line: &str) -> bool {
    let line = line.trim_start();
    let key = line
        .bytes()
        .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'"'))
        .count();
    let header = line
        .trim_start_matches('[')
        .trim_start()
        .starts_with(|first: char| first.is_ascii_alphabetic());
    (line.starts_with('[') && header) || (key > 0 && line[key..].trim_start().starts_with('='))
}

fn is_header(line: &str) -> bool {
    let name = line
        .trim_start()
        .strip_prefix('[')
        .map(|name| name.trim_start_matches(['[', ' ', '\t']));
    name.is_some_and(|name| name.starts_with(|first: char| first.is_ascii_alphabetic()))
}

/// Replaces everything except line ends with spaces.
fn blank(text: &mut String, range: Span) {
    let blanks: String = text[range.clone()]
        .chars()
        .flat_map(|letter| std::iter::repeat_n(if letter == '\n' { '\n' } else { ' ' }, letter.len_utf8()))
        .collect();
    text.replace_range(range, &blanks);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The code, line and title of each problem, and the rest of the text.
    fn repaired(text: &str) -> (Vec<String>, String) {
        let mut parser = Parser::new(text, &|_| None);
        let left = repair(&mut parser);
        assert!(left.is_empty() || left.len() == text.len());
        let line = |span: &Span| text[..span.start].matches('\n').count() + 1;
        let problems = parser.diagnostics.items.iter();
        let problems = problems.map(|item| format!("{} {}: {}", line(item.span.as_ref().unwrap()), item.code, item.message));
        (problems.collect(), left.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn each_broken_statement_is_reported_once_and_the_rest_is_kept() {
        let (problems, left) = repaired(
            "a = 1\nb =\nc \"x\"\nd = \"open\ne: 2\nf = [1 2]\ng = 1 2\n[h\ni = 1\n[j]\nk = 1\nk = 2\nl = [1,\n  2,\n[[m]]\nn = {\no = 1\n",
        );
        insta::assert_snapshot!(problems.join("\n") + "\n\n" + &left);
    }

    #[test]
    fn an_unclosed_array_is_reported_where_it_opens() {
        let (problems, left) =
            repaired("[[watch]]\nmodel = 'a.B'\nfields = [\n  'x',\n[[watch.rule]]\non = 'update'\n[[watch]]\nmodel = 'a.C'\n");
        assert_eq!(problems, ["3 syntax: unclosed array"]);
        assert_eq!(
            left,
            "[[watch]] model = 'a.B' [[watch.rule]] on = 'update' [[watch]] model = 'a.C'"
        );
    }

    #[test]
    fn an_unclosed_string_does_not_hide_the_rest_forever() {
        let (problems, _) = repaired("a = \"\"\"\nb = 1\nc = 2\n");
        assert_eq!(problems, ["1 syntax: unclosed multi-line string"]);
    }
}
