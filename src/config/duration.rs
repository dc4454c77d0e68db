//! Human-readable durations: `90s`, `30m`, `24h`, `7d`, `1h30m`.

use std::time::Duration;

use super::diagnostic::{Diagnostic, code};
use super::parser::Parser;
use super::root::text;
use super::toml_table::TomlTable;

/// Parses the duration at `key`, which is called `name` in messages, may come from the environment, and must be at least a second.
/// `None` if it is missing or invalid, which has been reported.
pub(super) fn at(table: &TomlTable<'_>, key: &str, name: &str, parser: &mut Parser<'_>) -> Option<Duration> {
    let value = text(table, key, parser)?;
    let found = parse(&value.value).filter(|duration| !duration.is_zero());
    if found.is_none() {
        let message = format!("`{name}` must be a duration of at least a second");
        let problem = Diagnostic::error(code::BAD_VALUE, value.span, message, "not such a duration");
        parser.report(problem.help("write it like `24h`, `30m`, `7d` or `1h30m`".to_owned()));
    }
    found
}

/// Parses a duration; `None` if `text` is not one. Each number has a unit: `s`, `m`, `h`, `d` or `w`.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut seconds = 0_u64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest[..digits].parse().ok()?;
        let mut unit = rest[digits..].trim_start().chars();
        let factor = match unit.next()? {
            's' => 1,
            'm' => 60,
            'h' => 60 * 60,
            'd' => 24 * 60 * 60,
            'w' => 7 * 24 * 60 * 60,
            _ => return None,
        };
        seconds = seconds.checked_add(number.checked_mul(factor)?)?;
        rest = unit.as_str().trim_start();
    }
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_units_add_up() {
        for (text, seconds) in [
            ("90s", 90),
            ("24h", 86_400),
            ("7d", 604_800),
            ("1h30m", 5_400),
            ("1h 30 m", 5_400),
            ("2w", 1_209_600),
        ] {
            assert_eq!(parse(text), Some(Duration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            " ",
            "24",
            "h",
            "-1h",
            "1.5h",
            "24hours",
            "24ms",
            "99999999999999999999s",
            "999999999999999999w",
            "é",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
