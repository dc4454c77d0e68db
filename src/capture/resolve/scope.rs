//! The scope of a watch: the columns that it captures, and the names in its rules.

mod related;

use super::code::{CANNOT_WATCH, NOT_CAPTURED, REPEATED_FIELD, UNKNOWN_COLUMN};
use super::fires_on_update;
use super::moved::Moved;
use super::reference::references;
use crate::capture::catalog::{Table, TableColumn};
use crate::capture::watch::{Column, Destination, Relation, Rule};
use crate::config::diagnostic::{Diagnostic, Diagnostics};
use crate::config::nearest::did_you_mean;
use crate::config::{self, Reference, Side, Span, Spanned};

/// The suggestion if a name may be that of an inherited field.
const INHERITED: &str = "an inherited field is a column of the parent's table: watch that model too";

/// The columns of a watch.
pub(super) struct Scope<'a> {
    table: &'a Table,
    /// The key's columns, in the key's order.
    key: Vec<Column>,
    /// The resolved `fields`, in order; they may include columns of the key.
    fields: Vec<Column>,
    /// The columns that hold keys of other tables and are not captured otherwise.
    holders: Vec<Column>,
    /// The resolved relations.
    related: &'a [Relation],
    /// The paths of `related`, including those that lead nowhere.
    paths: Vec<&'a str>,
    diagnostics: &'a mut Diagnostics,
}

impl<'a> Scope<'a> {
    /// Resolves the watch's `fields`.
    pub(super) fn new(
        table: &'a Table,
        watch: &'a config::Watch,
        related: &'a [Relation],
        diagnostics: &'a mut Diagnostics,
    ) -> Self {
        let column = |name: &String| table.column(name).map(|column| column.column.clone());
        let mut scope = Self {
            table,
            key: table.key.iter().filter_map(column).collect(),
            fields: Vec::new(),
            holders: Vec::new(),
            related,
            paths: watch.related.iter().map(|entry| entry.path.value.as_str()).collect(),
            diagnostics,
        };
        for field in &watch.fields {
            scope.add_field(field);
        }
        for relation in related.iter().filter(|relation| !relation.path.contains('.')) {
            if scope.captured().all(|column| *column != relation.column) {
                scope.holders.push(relation.column.clone());
            }
        }
        scope
    }

    /// Returns the key's columns, and those captured in addition.
    pub(super) fn into_columns(self) -> (Vec<Column>, Vec<Column>) {
        let columns = self.captured().skip(self.key.len()).cloned().collect();
        (self.key, columns)
    }

    /// Resolves the field names of a rule to column names.
    pub(super) fn rule(&mut self, rule: &config::Rule) -> Rule {
        for (reference, span) in references(rule) {
            match reference {
                Reference::Row(name) | Reference::Old(name) => self.check_reference(name, span),
                Reference::Related(_, name) => self.check_related(name, span),
                Reference::Whole(_) | Reference::Variable(_) => {}
            }
        }
        let changed = self.captured_names(&rule.changed);
        let (data, related_data) = match &rule.data {
            Some(names) => {
                let (related, own): (Vec<_>, Vec<_>) = names.iter().partition(|name| self.field(&name.value).is_some());
                let related = related.into_iter().filter_map(|name| self.related_name(name)).collect();
                (own.into_iter().filter_map(|name| self.captured_name(name)).collect(), related)
            }
            None => (self.fields.iter().map(|column| column.name.clone()).collect(), Vec::new()),
        };
        Rule {
            on: rule.on,
            changed,
            when: rule.when.clone(),
            follow: rule.follow,
            moved_by: self.moved_by(rule),
            destination: self.destination(&rule.destination),
            event_class: rule.event_class.clone(),
            message: rule.message.clone(),
            data,
            related_data,
            collapse: rule.collapse.clone(),
            span: rule.span.clone(),
        }
    }

    /// Returns the captured columns that determine the audience of a rule's rows, including the key's, since a row leaves under its former
    /// key.
    fn moved_by(&self, rule: &config::Rule) -> Vec<String> {
        let Some(moved) = Moved::new(rule) else {
            return Vec::new();
        };
        let leading = |name: &&str| self.field(name).is_some();
        let leads = moved.related.iter().copied().chain(moved.user.filter(leading));
        let leads: Vec<&str> = leads.filter_map(|name| self.key_holder(name)).collect();
        let user = moved.user.and_then(|field| self.table.resolve(field));
        let decides = |column: &&Column| {
            moved.whole
                || self.key.contains(column)
                || moved.columns.contains(&column.name.as_str())
                || leads.contains(&column.name.as_str())
                || user.is_some_and(|user| user.column == **column)
        };
        self.captured().filter(decides).map(|column| column.name.clone()).collect()
    }

    /// Returns the captured columns whose former value some rule reads, in the order of capture.
    pub(super) fn former(&self, rules: &[config::Rule]) -> Vec<Column> {
        let mut names: Vec<&str> = Vec::new();
        let moved_by: Vec<String> = rules.iter().flat_map(|rule| self.moved_by(rule)).collect();
        names.extend(moved_by.iter().map(String::as_str));
        for rule in rules.iter().filter(|rule| fires_on_update(rule)) {
            let changed = rule.changed.iter().filter_map(|name| self.table.resolve(&name.value));
            names.extend(changed.map(|column| column.column.name.as_str()));
            for (reference, _) in references(rule) {
                match reference {
                    Reference::Old(name) => names.push(name),
                    Reference::Related(Side::Old, name) => names.extend(self.key_holder(name)),
                    Reference::Whole(Side::Old) => return self.captured().cloned().collect(),
                    _ => {}
                }
            }
        }
        self.captured()
            .filter(|column| names.contains(&column.name.as_str()))
            .cloned()
            .collect()
    }

    /// Iterates over the captured columns: the key's, then the others.
    fn captured(&self) -> impl Iterator<Item = &Column> {
        let fields = self.fields.iter().filter(|column| !self.key.contains(column));
        self.key.iter().chain(fields).chain(&self.holders)
    }

    fn add_field(&mut self, field: &Spanned<String>) {
        let Some(TableColumn {
            column,
            computed_when_read,
        }) = self.table.resolve(&field.value)
        else {
            self.unknown(&field.value, &field.span);
            return;
        };
        if *computed_when_read {
            let message = format!("`{}` is a virtual generated column", field.value);
            let problem = Diagnostic::error(CANNOT_WATCH, field.span.clone(), message, "triggers see null in it");
            self.diagnostics
                .push(problem.help("capture the columns that it is computed from".to_owned()));
        } else if self.fields.contains(column) {
            let message = format!("`{}` is already captured", column.name);
            let problem = Diagnostic::warning(REPEATED_FIELD, field.span.clone(), message, "the same column again");
            self.diagnostics.push(problem);
        } else {
            self.fields.push(column.clone());
        }
    }

    fn destination(&mut self, destination: &config::Destination) -> Destination {
        match destination {
            config::Destination::Channel(template) => Destination::Channel(template.clone()),
            config::Destination::Public => Destination::Public,
            config::Destination::Users => Destination::Users,
            config::Destination::Staff => Destination::Staff,
            config::Destination::Superuser => Destination::Superuser,
            config::Destination::Group(template) => Destination::Group(template.clone()),
            // Without a column, the diagnostics contain an error, and the watch is not used.
            config::Destination::User(field) if self.field(&field.value).is_some() => {
                Destination::RelatedUser(self.related_name(field).unwrap_or_default())
            }
            config::Destination::User(field) => Destination::User(self.captured_name(field).unwrap_or_default()),
        }
    }

    fn captured_names(&mut self, names: &[Spanned<String>]) -> Vec<String> {
        names.iter().filter_map(|name| self.captured_name(name)).collect()
    }

    /// Resolves a field or column name in a list to a captured column; records a problem and returns `None` if there is none.
    fn captured_name(&mut self, name: &Spanned<String>) -> Option<String> {
        let Some(column) = self.table.resolve(&name.value) else {
            self.unknown(&name.value, &name.span);
            return None;
        };
        let column = &column.column.name;
        if self.captured().any(|captured| captured.name == *column) {
            return Some(column.clone());
        }
        self.not_captured(&name.value, &name.span);
        None
    }

    /// Records a problem if a name in a template or condition is not that of a captured column. Field names do not count there.
    fn check_reference(&mut self, name: &str, span: &Span) {
        if self.captured().any(|column| column.name == name) {
            return;
        }
        match self.table.resolve(name) {
            Some(column) if column.column.name != name => {
                let column = column.column.name.clone();
                let message = format!("`{name}` is a field, its column is `{column}`");
                let problem = Diagnostic::error(NOT_CAPTURED, span.clone(), message, "read here");
                self.diagnostics
                    .push(problem.help(format!("templates and conditions name columns: write `{column}`")));
            }
            Some(_) => self.not_captured(name, span),
            None => self.unknown(name, span),
        }
    }

    fn not_captured(&mut self, name: &str, span: &Span) {
        let message = format!("`{name}` is not captured");
        let problem = Diagnostic::error(NOT_CAPTURED, span.clone(), message, "read here");
        self.diagnostics
            .push(problem.help(format!("add `{name}` to the watch's `fields`")));
    }

    fn unknown(&mut self, name: &str, span: &Span) {
        let message = format!("`{}` has no column for `{name}`", self.table.relation.name);
        let near = did_you_mean(name, self.table.columns.iter().map(|column| column.column.name.as_str()));
        let problem = Diagnostic::error(UNKNOWN_COLUMN, span.clone(), message, "no such field or column");
        let inherited = || self.table.has_parent().then(|| INHERITED.to_owned());
        self.diagnostics.push(problem.help(near.or_else(inherited)));
    }
}
