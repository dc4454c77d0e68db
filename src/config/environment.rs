//! `${NAME}` and `${NAME:-default}`: values from the environment.

use super::Spanned;
use super::diagnostic::{Diagnostic, code};
use super::parser::Parser;

/// Expands the value, which stays unchanged if it names no variable. `None` if the variable is not set, which has been reported.
///
/// Only a whole value is expanded, and the result is not expanded again: a `$` in a password stays. As in a shell, the default also
/// replaces an empty variable.
pub(super) fn expand(parser: &mut Parser<'_>, value: Spanned<String>) -> Option<Spanned<String>> {
    let Some((name, default)) = variable(&value.value) else {
        if looks_like_expansion(&value.value) {
            let message = "this value is taken literally, nothing in it is expanded";
            let label = "only a whole `${NAME}` or `${NAME:-default}` is read from the environment";
            parser.report(Diagnostic::warning(
                code::LITERAL_EXPANSION,
                value.span.clone(),
                message,
                label,
            ));
        }
        return Some(value);
    };
    let found = (parser.environment)(name);
    let found = found.filter(|found| default.is_none() || !found.is_empty());
    let Some(expanded) = found.or_else(|| default.map(str::to_owned)) else {
        let message = format!("the environment variable `{name}` is not set");
        let help = format!("set it, or give a default: `${{{name}:-default}}`");
        let problem = Diagnostic::error(code::UNSET_VARIABLE, value.span, message, "read from the environment here");
        parser.report(problem.help(help));
        return None;
    };
    Some(Spanned {
        value: expanded,
        span: value.span,
    })
}

/// Returns the name and default of a value that is a single reference.
fn variable(value: &str) -> Option<(&str, Option<&str>)> {
    let inner = value.strip_prefix("${")?.strip_suffix('}')?;
    let (name, default) = inner
        .split_once(":-")
        .map_or((inner, None), |(name, default)| (name, Some(default)));
    (is_name(name) && !default.is_some_and(|default| default.contains("${"))).then_some((name, default))
}

fn is_name(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn looks_like_expansion(value: &str) -> bool {
    let named = value
        .strip_prefix('$')
        .is_some_and(|name| is_name(name) && name == name.to_ascii_uppercase());
    named || value.split_once("${").is_some_and(|(_, rest)| rest.contains('}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(value: &str) -> (Option<String>, Vec<&'static str>) {
        let environment = |name: &str| match name {
            "SET" => Some("${OTHER}".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let mut parser = Parser::new("", &environment);
        let value = expand(
            &mut parser,
            Spanned {
                value: value.to_owned(),
                span: 0..0,
            },
        );
        (
            value.map(|value| value.value),
            parser.diagnostics.items.iter().map(|item| item.code).collect(),
        )
    }

    #[test]
    fn a_whole_reference_is_replaced_once() {
        assert_eq!(expanded("${SET}"), (Some("${OTHER}".to_owned()), vec![]));
        assert_eq!(expanded("${SET:-x}"), (Some("${OTHER}".to_owned()), vec![]));
        assert_eq!(expanded("${UNSET:-a}b}"), (Some("a}b".to_owned()), vec![]));
        assert_eq!(expanded("${EMPTY:-x}"), (Some("x".to_owned()), vec![]));
        assert_eq!(expanded("${UNSET:-}"), (Some(String::new()), vec![]));
        assert_eq!(expanded("${EMPTY}"), (Some(String::new()), vec![]));
    }

    #[test]
    fn an_unset_variable_is_an_error() {
        assert_eq!(expanded("${UNSET}"), (None, vec![code::UNSET_VARIABLE]));
    }

    #[test]
    fn a_dollar_inside_a_value_stays_and_a_warning_reports_what_looks_like_a_reference() {
        assert_eq!(expanded("pa$$word"), (Some("pa$$word".to_owned()), vec![]));
        for value in ["a${SET}b", "${SET}${SET}", "${SET:?no}", "${A:-${B}}", "$SET"] {
            assert_eq!(expanded(value), (Some(value.to_owned()), vec![code::LITERAL_EXPANSION]));
        }
    }
}
