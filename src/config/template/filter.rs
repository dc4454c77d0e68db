//! Checks filters and tests, which minijinja looks up only when it evaluates them: `{{ row.name|uper }}`.

use std::ops::Range;

use minijinja::{Environment, ErrorKind};

use crate::config::Spanned;
use crate::config::diagnostic::{Diagnostic, code};
use crate::config::parser::Parser;

/// The tests and filters that accept undefined values.
const ABSENCE: [&str; 4] = ["defined", "undefined", "default", "d"];

/// Reports the filters and tests that do not exist. `code` contains the byte ranges of the value that are code.
pub(super) fn check(value: &Spanned<String>, code: &[Range<usize>], environment: &Environment<'_>, parser: &mut Parser<'_>) {
    let mut state = environment.empty_state();
    for block in code {
        for (kind, name) in uses(&value.value, block.clone()) {
            let result = match kind {
                Kind::Filter => state.apply_filter(&value.value[name.clone()], &[]).map(drop),
                Kind::Test => state.perform_test(&value.value[name.clone()], &[]).map(drop),
            };
            let unknown = [ErrorKind::UnknownFilter, ErrorKind::UnknownTest];
            if result.is_err_and(|error| unknown.contains(&error.kind())) {
                let noun = match kind {
                    Kind::Filter => "filter",
                    Kind::Test => "test",
                };
                let message = format!("there is no {noun} `{}`", &value.value[name.clone()]);
                let problem = Diagnostic::error(
                    code::UNKNOWN_FILTER,
                    parser.inside(value, name),
                    message,
                    format!("unknown {noun}"),
                );
                parser.report(problem.help("only minijinja's built-in ones can be used".to_owned()));
            }
        }
    }
}

/// Returns whether `text` checks if something is defined, or provides a default. `code` contains the byte ranges that are code.
pub(super) fn tolerates_absence(text: &str, code: &[Range<usize>]) -> bool {
    let mut names = code.iter().flat_map(|block| uses(text, block.clone()));
    names.any(|(_, name)| ABSENCE.contains(&&text[name]))
}

/// Returns the code of a template: the insides of `{{ … }}` and `{% … %}`, except in raw blocks, where braces are literal.
pub(super) fn blocks(template: &str) -> Vec<Range<usize>> {
    let mut blocks = Vec::new();
    let mut at = 0;
    while let Some(start) = template[at..].find('{').map(|start| at + start) {
        let (code, comment) = match template.as_bytes().get(start + 1) {
            Some(b'{') => ("}}", false),
            Some(b'%') => ("%}", false),
            Some(b'#') => ("#}", true),
            _ => {
                at = start + 1;
                continue;
            }
        };
        let inner = start + 2;
        let end = closing(template, inner, code, comment);
        if code == "%}" && is_tag(&template[inner..end], "raw") {
            at = after_raw(template, end);
            continue;
        }
        if !comment {
            blocks.push(inner..end);
        }
        at = end;
    }
    blocks
}

/// Returns where the block that began before `start` ends.
fn closing(template: &str, start: usize, end: &str, comment: bool) -> usize {
    let mut at = start;
    while let Some(letter) = template[at..].chars().next() {
        if template[at..].starts_with(end) {
            return at;
        }
        at = if !comment && matches!(letter, '"' | '\'') {
            after_string(template, at)
        } else {
            at + letter.len_utf8()
        };
    }
    template.len()
}

/// Returns whether the inside of `{% … %}` is the tag `name`, with or without whitespace control.
fn is_tag(code: &str, name: &str) -> bool {
    let code = code.strip_prefix(['-', '+']).unwrap_or(code);
    code.strip_suffix(['-', '+']).unwrap_or(code).trim() == name
}

/// Returns where the tag ends that closes the raw text from `start` on.
fn after_raw(template: &str, start: usize) -> usize {
    let tags = template[start..]
        .match_indices("{%")
        .map(|(at, opening)| start + at + opening.len());
    let mut tags = tags.filter_map(|inner| template[inner..].find("%}").map(|length| inner..inner + length));
    tags.find(|tag| is_tag(&template[tag.clone()], "endraw"))
        .map_or(template.len(), |tag| tag.end)
}

/// Returns where the string literal that opens at `start` ends.
fn after_string(text: &str, start: usize) -> usize {
    let mut letters = text[start..].char_indices();
    let quote = letters.next().map(|(_, quote)| quote);
    while let Some((at, letter)) = letters.next() {
        if letter == '\\' {
            letters.next();
        } else if Some(letter) == quote {
            return start + at + letter.len_utf8();
        }
    }
    text.len()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Filter,
    Test,
}

/// Returns the names after `|`, and after `is` or `is not`.
fn uses(text: &str, block: Range<usize>) -> Vec<(Kind, Range<usize>)> {
    let mut found = Vec::new();
    let mut expected = None;
    let mut after_dot = false;
    let mut at = block.start;
    while at < block.end {
        let Some(letter) = text[at..].chars().next() else { break };
        if matches!(letter, '"' | '\'') {
            at = after_string(text, at);
            expected = None;
        } else if letter.is_alphabetic() || letter == '_' {
            let length = text[at..block.end].find(|next: char| !next.is_alphanumeric() && next != '_');
            let end = length.map_or(block.end, |length| at + length);
            match (expected, &text[at..end]) {
                (Some(Kind::Test), "not") => {}
                (Some(kind), _) => {
                    found.push((kind, at..end));
                    expected = None;
                }
                (None, "is") if !after_dot => expected = Some(Kind::Test),
                (None, _) => {}
            }
            at = end;
            after_dot = false;
            continue;
        } else {
            match letter {
                '|' => expected = Some(Kind::Filter),
                letter if letter.is_whitespace() => {}
                _ => expected = None,
            }
            at += letter.len_utf8();
        }
        after_dot = letter == '.';
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::template::environment;

    fn unknown(template: &str) -> Vec<String> {
        let mut parser = Parser::new("", &|_| None);
        let value = Spanned {
            value: template.to_owned(),
            span: 0..0,
        };
        check(&value, &blocks(template), &environment(), &mut parser);
        parser.diagnostics.items.into_iter().map(|item| item.message).collect()
    }

    #[test]
    fn filters_and_tests_that_do_not_exist_are_found() {
        assert_eq!(
            unknown("{{ row.a|uper }} {% if row.b is odder %}x{% endif %}"),
            ["there is no filter `uper`", "there is no test `odder`"]
        );
        assert_eq!(unknown("{{ row.a | upper|nope('x') }}"), ["there is no filter `nope`"]);
    }

    #[test]
    fn only_raw_text_is_skipped() {
        assert_eq!(
            unknown("Withdrawal {{ row.amount|curency }}"),
            ["there is no filter `curency`"]
        );
        assert_eq!(
            unknown("{%- raw +%}{{ x|nope }}{% if %}{%+endraw-%}{{ row.raw|uper }}{% raw %}{{ y is odder }}{% endraw %}"),
            ["there is no filter `uper`"]
        );
    }

    #[test]
    fn built_in_ones_and_lookalikes_are_accepted() {
        for template in [
            "{{ row.a|upper|default('x|nope') }}",
            "{% if row.a is not none and row.b is in [1] %}x{% endif %}",
            "a | nope {# x|nope #} {{ 'it is nope' ~ row.is }} {",
            "{{ row.is|length }}",
            "{{ row.a is defined and row.b is divisibleby 3 }}",
            "{% raw %}{{ x|nope }}{% endraw %}",
        ] {
            assert_eq!(unknown(template), Vec::<String>::new(), "{template}");
        }
    }
}
