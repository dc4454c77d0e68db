//! The columns that a watch captures, as far as the file alone determines.

use super::diagnostic::{Diagnostic, code};
use super::nearest::{did_you_mean, nearest};
use super::parser::Parser;
use super::{Related, Span, Spanned, related};

/// Django's default primary key.
const DEFAULT_KEY: &str = "id";

/// The names in a watch's `fields` and `related`.
#[derive(Clone, Debug)]
pub(super) struct Columns<'a> {
    /// `None` if the list is invalid, so that no name can be checked against it.
    fields: Option<Vec<&'a str>>,
    /// Likewise for `related`.
    related: Option<&'a [Related]>,
}

impl<'a> Columns<'a> {
    /// Creates the columns of a list of fields and of the related rows.
    pub(super) fn new(fields: Option<&'a [Spanned<String>]>, related: Option<&'a [Related]>) -> Self {
        Self {
            fields: fields.map(|fields| fields.iter().map(|field| field.value.as_str()).collect()),
            related,
        }
    }

    /// Returns whether `name` is certainly captured. The field and column of a foreign key are equivalent: `customer`, `customer_id`.
    pub(super) fn has(&self, name: &str) -> bool {
        let holds_key = |related: &Related| {
            let column = related.column.as_ref().unwrap_or(&related.path);
            !related.path.value.contains('.') && same(&column.value, name)
        };
        self.related.is_none_or(|related| related.iter().any(holds_key))
            || self
                .fields
                .as_ref()
                .is_none_or(|fields| fields.iter().any(|known| same(known, name)))
    }

    /// Checks `name` in a template and returns the path and column of another table that it reads; `None` if it does not begin with
    /// a relation. `prefix` is that of [`Self::check`].
    pub(super) fn related(&self, name: &Spanned<String>, prefix: &str, parser: &mut Parser<'_>) -> Option<String> {
        let (path, column) = related::split(&name.value, |path| self.relation(path).is_some())?;
        let Some(column) = column else {
            let message = format!("`{prefix}{path}` is a row of another table");
            let problem = Diagnostic::error(code::WHOLE_RELATION, name.span.clone(), message, "names no column of it");
            parser.report(problem.help(format!("name one of its columns, as in `{prefix}{path}.name`")));
            return Some(path.to_owned());
        };
        self.check_related(path, column, &name.span, prefix, parser);
        Some(format!("{path}.{column}"))
    }

    /// Checks `name` in a list, and returns whether it refers to a column of another table.
    pub(super) fn is_related(&self, name: &Spanned<String>, parser: &mut Parser<'_>) -> bool {
        let Some((path, column)) = related::split_field(&name.value, |path| self.relation(path).is_some()) else {
            return false;
        };
        self.check_related(path, column, &name.span, "", parser);
        true
    }

    fn relation(&self, path: &str) -> Option<&'a Related> {
        self.related?.iter().find(|related| related.path.value == path)
    }

    /// Reports a column that is not among the fields of the relation `path`.
    fn check_related(&self, path: &str, column: &str, span: &Span, prefix: &str, parser: &mut Parser<'_>) {
        let fields = self.relation(path).map_or(&[][..], |related| &related.fields);
        if !fields.iter().any(|field| same(&field.value, column)) {
            let message = format!("`{prefix}{path}.{column}` is not read by this watch");
            let label = format!("not among the fields of `{path}` in `related`");
            let near = did_you_mean(column, fields.iter().map(|field| field.value.as_str()));
            let help = near.unwrap_or_else(|| format!("add `{column}` to them"));
            let problem = Diagnostic::error(code::UNKNOWN_COLUMN, span.clone(), message, label);
            parser.report(problem.help(help));
        }
    }

    /// Reports a name that is not captured, or that only the database can resolve; `prefix` is `row.`, `old.` or empty.
    pub(super) fn check(&self, name: &Spanned<String>, prefix: &str, parser: &mut Parser<'_>) {
        let text = name.value.as_str();
        let Some(fields) = self.fields.as_ref().filter(|_| !self.has(text) && text != DEFAULT_KEY) else {
            return;
        };
        let relations = self.related.into_iter().flatten().map(|related| related.path.value.as_str());
        let known = fields.iter().copied().chain(relations);
        let first = text.split('.').next().unwrap_or_default();
        if let Some(near) = nearest(first, known) {
            let message = format!("`{prefix}{text}` is not captured by this watch");
            let problem = Diagnostic::error(code::UNKNOWN_COLUMN, name.span.clone(), message, "not in `fields`");
            parser.report(problem.help(format!("did you mean `{prefix}{near}`?")));
        } else {
            let message = format!("`{prefix}{text}` is only captured if it is the primary key");
            let problem = Diagnostic::warning(code::UNCERTAIN_COLUMN, name.span.clone(), message, "not in `fields`");
            let help = format!("add `{text}` to `fields`, or let the database decide: `instant check --db`");
            parser.report(problem.help(help));
        }
    }
}

/// Returns whether two names refer to the same column, as the field and column of a foreign key do.
fn same(one: &str, other: &str) -> bool {
    let field = |name: &str| name.strip_suffix("_id").unwrap_or(name).to_owned();
    one == other || field(one) == field(other)
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
        let mut parser = Parser::new("", &|_| None);
        Columns::new(Some(&fields), Some(&[])).check(
            &Spanned {
                value: name.to_owned(),
                span: 0..0,
            },
            "row.",
            &mut parser,
        );
        parser.diagnostics.items.iter().map(|item| item.code).collect()
    }

    #[test]
    fn captured_names_and_the_default_key_are_accepted() {
        for name in ["status", "customer", "customer_id", "owner", "owner_id", "id"] {
            assert_eq!(codes(&["status", "customer", "owner_id"], name), Vec::<&str>::new(), "{name}");
        }
    }

    #[test]
    fn a_typo_is_an_error_and_another_name_is_left_to_the_database() {
        assert_eq!(codes(&["status"], "stauts"), [code::UNKNOWN_COLUMN]);
        assert_eq!(codes(&["status"], "number"), [code::UNCERTAIN_COLUMN]);
        assert_eq!(codes(&[], "status"), [code::UNCERTAIN_COLUMN]);
    }

    #[test]
    fn nothing_is_reported_when_the_list_cannot_be_read() {
        let mut parser = Parser::new("", &|_| None);
        Columns::new(None, None).check(
            &Spanned {
                value: "x".to_owned(),
                span: 0..0,
            },
            "",
            &mut parser,
        );
        assert!(parser.diagnostics.items.is_empty());
    }
}
