//! A typed view of a TOML table that reports invalid keys and values.

use toml::de::{DeTable, DeValue};

use super::diagnostic::{Diagnostic, code};
use super::key::Keys;
use super::nearest::did_you_mean;
use super::parser::Parser;
use super::{Span, Spanned};

/// A table of the document.
#[derive(Clone, Debug)]
pub(super) struct TomlTable<'a> {
    table: &'a DeTable<'a>,
    /// The table's location: its header, or the whole inline table.
    pub(super) span: Span,
    /// Its name in messages, such as `[database]`; empty for the whole file.
    name: &'static str,
}

impl<'a> TomlTable<'a> {
    /// Creates a view of `table`, and reports its unknown keys.
    pub(super) fn new(table: &'a DeTable<'a>, span: Span, known: &Keys, parser: &mut Parser<'_>) -> Self {
        let name = known.name;
        for key in table.keys().filter(|key| !known.accepts(key.get_ref())) {
            let name_of_key: &str = key.get_ref();
            let location = if name.is_empty() {
                String::new()
            } else {
                format!(" in `{name}`")
            };
            // The text in place of a key may be anything, even a secret.
            let subject = if is_printable(name_of_key) {
                format!("unknown key `{name_of_key}`")
            } else {
                "unknown key".to_owned()
            };
            let problem = Diagnostic::error(
                code::UNKNOWN_KEY,
                key.span(),
                subject + &location,
                "not a key of this version",
            );
            let near = did_you_mean(name_of_key, known.names());
            let all = || format!("known keys: {}", known.names().collect::<Vec<_>>().join(", "));
            parser.report(problem.help(near.unwrap_or_else(all)));
        }
        Self { table, span, name }
    }

    /// Returns whether the key exists, whatever its value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Returns the location of a key.
    pub(super) fn key_span(&self, key: &str) -> Option<Span> {
        self.table.get_key_value(key).map(|(key, _)| key.span())
    }

    /// Returns the value of a key and its location.
    pub(super) fn value(&self, key: &str) -> Option<(&'a DeValue<'a>, Span)> {
        self.table.get(key).map(|value| (value.get_ref(), value.span()))
    }

    /// Returns a string. `None` if the key is missing or its value is not a string.
    pub(super) fn string(&self, key: &str, parser: &mut Parser<'_>) -> Option<Spanned<String>> {
        let (value, span) = self.value(key)?;
        if let DeValue::String(text) = value {
            return Some(Spanned {
                value: text.to_string(),
                span,
            });
        }
        wrong_type(key, "a string", value, span, parser);
        None
    }

    /// Returns a boolean. `None` if the key is missing or its value is not a boolean.
    pub(super) fn boolean(&self, key: &str, parser: &mut Parser<'_>) -> Option<bool> {
        match self.value(key)? {
            (DeValue::Boolean(value), _) => Some(*value),
            (other, span) => {
                wrong_type(key, "true or false", other, span, parser);
                None
            }
        }
    }

    /// Returns a number of at least one. `None` if the key is missing or its value is not such a number.
    pub(super) fn positive(&self, key: &str, parser: &mut Parser<'_>) -> Option<u32> {
        let (value, span) = self.value(key)?;
        let number = match value {
            DeValue::Integer(number) => u32::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        let number = number.filter(|number| *number > 0);
        if number.is_none() {
            wrong_type(key, "a whole number of at least one", value, span, parser);
        }
        number
    }

    /// Returns a list of strings. `None` if the key is missing or its value is not such a list.
    pub(super) fn strings(&self, key: &str, parser: &mut Parser<'_>) -> Option<Vec<Spanned<String>>> {
        let (value, span) = self.value(key)?;
        let DeValue::Array(values) = value else {
            wrong_type(key, "a list of strings", value, span, parser);
            return None;
        };
        let mut strings = Vec::new();
        for value in values {
            match value.get_ref() {
                DeValue::String(text) => strings.push(Spanned {
                    value: text.to_string(),
                    span: value.span(),
                }),
                other => wrong_type(key, "a list of strings", other, value.span(), parser),
            }
        }
        (strings.len() == values.len()).then_some(strings)
    }

    /// Returns a string or a list of strings as a list. `None` if the key is missing or its value is neither.
    pub(super) fn one_or_more(&self, key: &str, parser: &mut Parser<'_>) -> Option<Vec<Spanned<String>>> {
        match self.value(key)? {
            (DeValue::String(text), span) => Some(vec![Spanned {
                value: text.to_string(),
                span,
            }]),
            (DeValue::Array(_), _) => self.strings(key, parser),
            (other, span) => {
                wrong_type(key, "a string or a list of strings", other, span, parser);
                None
            }
        }
    }

    /// Returns a table, `[key]`, and reports its unknown keys. `None` if the key is missing or its value is not a table.
    pub(super) fn table(&self, key: &str, known: &Keys, parser: &mut Parser<'_>) -> Option<TomlTable<'a>> {
        match self.value(key)? {
            (DeValue::Table(table), span) => Some(Self::new(table, span, known, parser)),
            (other, span) => {
                wrong_type(key, &format!("a table, `{}`", known.name), other, span, parser);
                None
            }
        }
    }

    /// Returns every key with its value and the location of the value, in the order of the file.
    pub(super) fn entries(&self) -> Vec<(Spanned<String>, &'a DeValue<'a>, Span)> {
        let named = |(key, value): (&toml::Spanned<_>, &'a toml::Spanned<DeValue<'a>>)| {
            let key: &toml::Spanned<std::borrow::Cow<'_, str>> = key;
            let name = Spanned {
                value: key.get_ref().to_string(),
                span: key.span(),
            };
            (name, value.get_ref(), value.span())
        };
        let mut entries: Vec<_> = self.table.iter().map(named).collect();
        entries.sort_by_key(|(name, ..)| name.span.start);
        entries
    }

    /// Returns a list of tables, `[[key]]`, in the order of the file, and reports their unknown keys. `None` if the key is missing.
    pub(super) fn tables(&self, key: &str, known: &Keys, parser: &mut Parser<'_>) -> Option<Vec<TomlTable<'a>>> {
        let name = known.name;
        let (value, span) = self.value(key)?;
        let DeValue::Array(values) = value else {
            wrong_type(key, &format!("a list of tables, each headed `{name}`"), value, span, parser);
            return Some(Vec::new());
        };
        let mut tables = Vec::new();
        for value in values {
            match value.get_ref() {
                DeValue::Table(table) => tables.push(Self::new(table, value.span(), known, parser)),
                other => wrong_type(
                    key,
                    &format!("a list of tables, each headed `{name}`"),
                    other,
                    value.span(),
                    parser,
                ),
            }
        }
        Some(tables)
    }

    /// Reports that a key is missing.
    pub(super) fn missing(&self, key: &str, help: &str, parser: &mut Parser<'_>) {
        let message = format!("`{}` has no `{key}`", self.name);
        let problem = Diagnostic::error(code::MISSING_KEY, self.span.clone(), message, format!("`{key}` is missing"));
        parser.report(problem.help(help.to_owned()));
    }
}

/// Reports a value of the wrong type.
fn wrong_type(key: &str, wanted: &str, found: &DeValue<'_>, span: Span, parser: &mut Parser<'_>) {
    let message = format!("`{key}` must be {wanted}");
    parser.report(Diagnostic::error(
        code::WRONG_TYPE,
        span,
        message,
        format!("this is {}", kind(found)),
    ));
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// Returns whether a key may appear in a message, because it looks like a name.
pub(super) fn is_printable(key: &str) -> bool {
    (1..=32).contains(&key.len())
        && key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}
