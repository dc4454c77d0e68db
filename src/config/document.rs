//! The text as a TOML document, as far as it can be read.

use super::Span;
use super::diagnostic::{Diagnostic, code};
use super::reading::Reading;

/// How many syntax errors are looked for; after that many, the file is something else than TOML.
const LIMIT: usize = 50;

/// A text of the same length that is TOML: each statement that is not was blanked and reported, so that the rest of the
/// file, and the problems in it, can be read all the same. Duplicate keys are reported and left.
pub(super) fn repair(reading: &mut Reading<'_>) -> String {
    let mut text = reading.text.to_owned();
    for _ in 0..LIMIT {
        let (_, errors) = toml::de::DeTable::parse_recoverable(&text);
        let (duplicates, errors): (Vec<_>, Vec<_>) = errors.iter().partition(|error| error.message() == "duplicate key");
        let Some(first) = errors
            .iter()
            .min_by_key(|error| error.span().map_or(usize::MAX, |span| span.start))
        else {
            for error in duplicates {
                let span = error.span().unwrap_or_default();
                let message = format!("{} stands twice", key(&text, &span));
                reading.problem(Diagnostic::error(code::DUPLICATE_KEY, span, message, "here again"));
            }
            return text;
        };
        let at = first.span().unwrap_or(text.len()..text.len());
        let unclosed = errors.iter().find(|error| error.message().starts_with("unclosed"));
        let (place, statement) = match unclosed {
            Some(_) => opening(&text, at.start).unwrap_or_else(|| (at.clone(), statement(&text, at.start))),
            None => (at.clone(), statement(&text, at.start)),
        };
        let message = unclosed.unwrap_or(first).message();
        let (title, label) = message
            .split_once(", expected ")
            .map_or((message, ""), |(title, label)| (title, label));
        let label = if label.is_empty() {
            String::new()
        } else {
            format!("expected {label}")
        };
        reading.problem(Diagnostic::error(code::SYNTAX, place, title, label));
        if statement.is_empty() {
            return String::new();
        }
        blank(&mut text, statement);
    }
    String::new()
}

/// The name of a key as a message may show it.
fn key(text: &str, span: &Span) -> String {
    text.get(span.clone())
        .filter(|key| super::reader::is_harmless(key))
        .map_or("a key".to_owned(), |key| format!("`{key}`"))
}

/// The lines of the statement around `at`: from a line that begins like one to the next that does.
fn statement(text: &str, at: usize) -> Span {
    let mut starts = lines(text).filter(|(_, line)| begins_statement(line)).map(|(start, _)| start);
    let mut first = lines(text)
        .map(|(start, _)| start)
        .take_while(|start| *start <= at)
        .last()
        .unwrap_or_default();
    for start in starts.by_ref() {
        if start > at {
            return first..start;
        }
        first = start;
    }
    first..text.len()
}

/// The bracket that was left open before `at`, and its statement.
fn opening(text: &str, at: usize) -> Option<(Span, Span)> {
    let opens = |line: &str| {
        line.split_once('=')
            .is_some_and(|(_, value)| value.trim_start().starts_with(['[', '{']))
    };
    let (start, line) = lines(text)
        .take_while(|(start, _)| *start < at)
        .filter(|(_, line)| begins_statement(line) && opens(line))
        .last()?;
    let bracket = start + line.find('=')?;
    let bracket = bracket + text[bracket..].find(['[', '{'])?;
    Some((bracket..bracket + 1, statement(text, start)))
}

fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split_inclusive('\n').scan(0, |start, line| {
        let at = *start;
        *start += line.len();
        Some((at, line))
    })
}

/// Whether a line looks like `[header]` or `key = …`; what it holds may be broken.
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

/// Replaces all but line ends by spaces.
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

    /// The code, line and title of each problem, and what is left of the text.
    fn repaired(text: &str) -> (Vec<String>, String) {
        let mut reading = Reading::new(text, &|_| None);
        let left = repair(&mut reading);
        assert!(left.is_empty() || left.len() == text.len());
        let line = |span: &Span| text[..span.start].matches('\n').count() + 1;
        let problems = reading.diagnostics.items.iter();
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
    fn an_unclosed_text_does_not_hide_the_rest_forever() {
        let (problems, _) = repaired("a = \"\"\"\nb = 1\nc = 2\n");
        assert_eq!(problems.len(), 1);
    }
}
