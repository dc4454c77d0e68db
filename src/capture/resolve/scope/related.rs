//! Names that lead to other tables.

use super::Scope;
use crate::capture::resolve::code::NOT_CAPTURED;
use crate::config::diagnostic::Diagnostic;
use crate::config::{Span, Spanned, related};

impl Scope<'_> {
    /// Splits a dotted name into the path of its relation, whether that leads anywhere or not, and the rest.
    fn path<'n>(&self, name: &'n str) -> Option<(&'n str, Option<&'n str>)> {
        related::split(name, |path| self.paths.contains(&path))
    }

    /// Does the same for a name in a list.
    pub(super) fn field<'n>(&self, name: &'n str) -> Option<(&'n str, &'n str)> {
        related::split_field(name, |path| self.paths.contains(&path))
    }

    /// Returns the captured column that holds the key of a dotted name's first relation.
    pub(super) fn key_holder(&self, name: &str) -> Option<&str> {
        let root = name.split('.').next()?;
        let relation = self.related.iter().find(|relation| relation.path == root)?;
        Some(&relation.column.name)
    }

    /// Resolves a dotted name of a list to a column of another table, under the column's own name; `None` if there is a problem.
    pub(super) fn related_name(&mut self, name: &Spanned<String>) -> Option<String> {
        let (path, field) = self.field(&name.value)?;
        let relation = self.related.iter().find(|relation| relation.path == path)?;
        let mut columns = relation.lookup.columns.iter();
        let id = format!("{field}_id");
        let exact = columns.clone().find(|column| column.name == field);
        let column = exact.or_else(|| columns.find(|column| column.name == id));
        if column.is_none() {
            self.not_related(path, field, &name.span);
        }
        column.map(|column| format!("{path}.{}", column.name))
    }

    /// Records a problem if a name in a template or condition is not a column of its relation. Field names do not count there.
    pub(super) fn check_related(&mut self, name: &str, span: &Span) {
        let Some((path, Some(field))) = self.path(name) else { return };
        // A path that leads nowhere has been recorded already.
        let Some(relation) = self.related.iter().find(|relation| relation.path == path) else {
            return;
        };
        let columns = &relation.lookup.columns;
        if columns.iter().any(|column| column.name == field) {
            return;
        }
        let id = format!("{field}_id");
        if columns.iter().any(|column| column.name == id) {
            let message = format!("`{field}` is a field, its column is `{id}`");
            let problem = Diagnostic::error(NOT_CAPTURED, span.clone(), message, "read here");
            self.diagnostics
                .push(problem.help(format!("templates and conditions name columns: write `{path}.{id}`")));
        } else {
            self.not_related(path, field, span);
        }
    }

    fn not_related(&mut self, path: &str, field: &str, span: &Span) {
        let message = format!("`{field}` is not read from `{path}`");
        let problem = Diagnostic::error(NOT_CAPTURED, span.clone(), message, "read here");
        self.diagnostics
            .push(problem.help(format!("add `{field}` to the fields of `{path}` in `related`")));
    }
}
