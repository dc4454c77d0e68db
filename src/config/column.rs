//! The columns that a watch captures, as far as the file alone can tell.

use super::Spanned;
use super::diagnostic::{Diagnostic, code};
use super::nearest::nearest;
use super::reading::Reading;

/// Django's default primary key.
const DEFAULT_KEY: &str = "id";

/// The names that a watch's `fields` lists.
#[derive(Clone, Debug)]
pub(super) struct Columns<'a> {
    /// None: the list cannot be read, so that nothing can be said about a name.
    fields: Option<Vec<&'a str>>,
}

impl<'a> Columns<'a> {
    /// The columns of a list of fields.
    pub(super) fn new(fields: Option<&'a [Spanned<String>]>) -> Self {
        Self {
            fields: fields.map(|fields| fields.iter().map(|field| field.value.as_str()).collect()),
        }
    }

    /// Whether `name` is surely captured. A foreign key's field and column count as the same: `customer` and `customer_id`.
    pub(super) fn has(&self, name: &str) -> bool {
        let field = |name: &str| name.strip_suffix("_id").unwrap_or(name).to_owned();
        self.fields
            .as_ref()
            .is_none_or(|fields| fields.iter().any(|known| *known == name || field(known) == field(name)))
    }

    /// Records a name that is not captured, or that only the database can decide on; `prefix` is `row.`, `old.` or empty.
    pub(super) fn check(&self, name: &Spanned<String>, prefix: &str, reading: &mut Reading<'_>) {
        let text = name.value.as_str();
        let Some(fields) = self.fields.as_ref().filter(|_| !self.has(text) && text != DEFAULT_KEY) else {
            return;
        };
        if let Some(near) = nearest(text, fields.iter().copied()) {
            let message = format!("`{prefix}{text}` is not captured by this watch");
            let problem = Diagnostic::error(code::UNKNOWN_COLUMN, name.span.clone(), message, "not in `fields`");
            reading.problem(problem.help(format!("did you mean `{prefix}{near}`?")));
        } else {
            let message = format!("`{prefix}{text}` is only captured if it is the primary key");
            let problem = Diagnostic::warning(code::UNCERTAIN_COLUMN, name.span.clone(), message, "not in `fields`");
            let help = format!("add `{text}` to `fields`, or let the database tell: `instant check --db`");
            reading.problem(problem.help(help));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(fields: &[&str], name: &str) -> Vec<&'static str> {
        let fields: Vec<_> = fields
            .iter()
            .map(|field| Spanned {
                value: (*field).to_owned(),
                span: 0..0,
            })
            .collect();
        let mut reading = Reading::new("", &|_| None);
        Columns::new(Some(&fields)).check(
            &Spanned {
                value: name.to_owned(),
                span: 0..0,
            },
            "row.",
            &mut reading,
        );
        reading.diagnostics.items.iter().map(|item| item.code).collect()
    }

    #[test]
    fn captured_names_and_the_default_key_pass() {
        for name in ["status", "customer", "customer_id", "owner", "owner_id", "id"] {
            assert_eq!(codes(&["status", "customer", "owner_id"], name), Vec::<&str>::new(), "{name}");
        }
    }

    #[test]
    fn a_slip_is_an_error_and_another_name_is_left_to_the_database() {
        assert_eq!(codes(&["status"], "stauts"), [code::UNKNOWN_COLUMN]);
        assert_eq!(codes(&["status"], "number"), [code::UNCERTAIN_COLUMN]);
        assert_eq!(codes(&[], "status"), [code::UNCERTAIN_COLUMN]);
    }

    #[test]
    fn nothing_is_said_when_the_list_cannot_be_read() {
        let mut reading = Reading::new("", &|_| None);
        Columns::new(None).check(
            &Spanned {
                value: "x".to_owned(),
                span: 0..0,
            },
            "",
            &mut reading,
        );
        assert!(reading.diagnostics.items.is_empty());
    }
}
