//! The configuration's names, found in the database.

use std::collections::BTreeSet;

use sqlx::PgPool;

use super::catalog::{self, Table, TableColumn};
use super::watch::{Column, Destination, Rule, Watch};
use crate::change::{Operation, Operations};
use crate::config::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::config::{self, Config, Reference, Side, Span, Spanned, Subject, TableName, Template};
use crate::django;

/// A model or table that is not in the database.
pub const UNKNOWN_TABLE: &str = "unknown-table";
/// A field or column that the table does not have.
pub const UNKNOWN_COLUMN: &str = "unknown-column";
/// A column that a rule reads and the watch does not capture.
pub const NOT_CAPTURED: &str = "not-captured";
/// Something that is no table, or a column that triggers cannot see.
pub const CANNOT_WATCH: &str = "cannot-watch";
/// The same table under two watches.
pub const WATCHED_TWICE: &str = "watched-twice";
/// A table whose events have no key.
pub const NO_PRIMARY_KEY: &str = "no-primary-key";
/// A key that is checked late.
pub const DEFERRABLE_KEY: &str = "deferrable-key";

/// What became of the configuration's names.
#[derive(Debug)]
pub struct Resolved {
    /// The watches; complete only without errors among the diagnostics.
    pub watches: Vec<Watch>,
    /// The problems.
    pub diagnostics: Diagnostics,
}

/// Finds every table and column that `config` names. Takes no lock.
///
/// # Errors
/// When the database does not answer; what it does not have is a diagnostic.
pub async fn resolve(pool: &PgPool, config: &Config) -> Result<Resolved, sqlx::Error> {
    let mut resolved = Resolved {
        watches: Vec::new(),
        diagnostics: Diagnostics::default(),
    };
    for watch in &config.watches {
        let Some(table) = find(pool, &watch.subject, &mut resolved.diagnostics).await? else {
            continue;
        };
        let columns = catalog::columns(pool, &table).await?;
        let watch = Resolver {
            watch,
            table,
            columns,
            problems: &mut resolved.diagnostics,
        }
        .watch();
        if resolved.watches.iter().any(|other| other.source == watch.source) {
            let message = format!("table `{}` is watched already", watch.source);
            resolved
                .diagnostics
                .items
                .push(error(WATCHED_TWICE, message, &watch.span, "the second watch", None));
        } else {
            resolved.watches.push(watch);
        }
    }
    Ok(resolved)
}

/// Finds a watch's table.
async fn find(pool: &PgPool, subject: &Spanned<Subject>, problems: &mut Diagnostics) -> Result<Option<Table>, sqlx::Error> {
    let name = match &subject.value {
        Subject::Table(name) | Subject::Model { table: Some(name), .. } => name.clone(),
        Subject::Model { app, model, table: None } => TableName {
            schema: None,
            name: django::default_table(pool, app, model).await?,
        },
    };
    let found = catalog::table(pool, &name).await?;
    match &found {
        None => {
            let (message, known) = match &subject.value {
                Subject::Model { app, model, .. } => (
                    format!("there is no table `{}` for model `{app}.{model}`", name.name),
                    django::models(pool).await,
                ),
                Subject::Table(_) => (
                    format!("there is no table `{}`", display(&name)),
                    catalog::table_names(pool).await?,
                ),
            };
            let wanted = match &subject.value {
                Subject::Model { app, model, .. } => format!("{app}.{}", model.to_lowercase()),
                Subject::Table(name) => display(name),
            };
            let help = match &subject.value {
                Subject::Model { .. } if known.contains(&wanted) => {
                    Some("the model sets `db_table`, or its migration has not run: add `table = \"…\"` beside `model`".to_owned())
                }
                _ => nearest(&wanted, known.iter().map(String::as_str)),
            };
            problems
                .items
                .push(error(UNKNOWN_TABLE, message, &subject.span, "not in the database", help));
        }
        Some(table) if !matches!(table.kind.as_str(), "r" | "p") => {
            let message = format!("`{}` is no table: triggers need a plain or partitioned one", display(&name));
            problems.items.push(error(
                CANNOT_WATCH,
                message,
                &subject.span,
                "a view, foreign table or the like",
                None,
            ));
        }
        Some(_) => {}
    }
    Ok(found.filter(|table| matches!(table.kind.as_str(), "r" | "p")))
}

fn display(name: &TableName) -> String {
    name.schema
        .as_ref()
        .map_or_else(|| name.name.clone(), |schema| format!("{schema}.{}", name.name))
}

struct Resolver<'a> {
    watch: &'a config::Watch,
    table: Table,
    columns: Vec<TableColumn>,
    problems: &'a mut Diagnostics,
}

impl Resolver<'_> {
    fn watch(mut self) -> Watch {
        let span = self.watch.subject.span.clone();
        let (model, name) = match &self.watch.subject.value {
            Subject::Model { app, model, .. } => (format!("{app}.{model}"), model.clone()),
            Subject::Table(table) => (display(table), table.name.clone()),
        };
        let mut key: Vec<_> = self.columns.iter().filter(|column| column.key.is_some()).collect();
        key.sort_by_key(|column| column.key);
        let key: Vec<Column> = key.into_iter().map(TableColumn::column).collect();
        if key.is_empty() {
            let message =
                format!("`{model}` has no primary key: its events have no `pk`, and the order of a row's changes cannot be told");
            self.problems
                .items
                .push(warning(NO_PRIMARY_KEY, message, &span, "no primary key"));
        }
        if self.table.deferrable {
            let message =
                format!("a key of `{model}` is deferrable: the insert of a row may arrive before the delete of the same key");
            self.problems
                .items
                .push(warning(DEFERRABLE_KEY, message, &span, "a deferrable key"));
        }
        let mut columns: Vec<Column> = Vec::new();
        for field in &self.watch.fields {
            if let Some(column) = self.column(field)
                && !columns.contains(&column)
            {
                columns.push(column);
            }
        }
        let fields = columns.clone();
        columns.retain(|column| !key.contains(column));
        let captured: Vec<Column> = key.iter().chain(&columns).cloned().collect();
        let rules: Vec<Rule> = self
            .watch
            .rules
            .iter()
            .map(|rule| self.rule(rule, &captured, &fields))
            .collect();
        let former: BTreeSet<String> = self.former(&captured);
        Watch {
            model,
            name,
            source: format!("{}.{}", self.table.schema, self.table.name),
            schema: self.table.schema,
            table: self.table.name,
            old: captured.into_iter().filter(|column| former.contains(&column.name)).collect(),
            operations: rules.iter().fold(Operations::NONE, |all, rule| all.union(rule.on)),
            key,
            columns,
            rules,
            span,
        }
    }

    /// The columns whose former value some rule reads on an update.
    fn former(&self, captured: &[Column]) -> BTreeSet<String> {
        let mut former = BTreeSet::new();
        for rule in self.watch.rules.iter().filter(|rule| rule.on.contains(Operation::Update)) {
            former.extend(
                rule.changed
                    .iter()
                    .filter_map(|field| self.find(&field.value))
                    .map(|column| column.name.clone()),
            );
            for reference in references(rule) {
                match reference {
                    Reference::Old(name) => drop(former.insert(name.clone())),
                    Reference::Whole(Side::Old) => former.extend(captured.iter().map(|column| column.name.clone())),
                    _ => {}
                }
            }
        }
        former
    }

    fn rule(&mut self, rule: &config::Rule, captured: &[Column], fields: &[Column]) -> Rule {
        for (reference, span) in placed(rule) {
            if let Reference::Row(name) | Reference::Old(name) = reference
                && !captured.iter().any(|column| column.name == *name)
            {
                self.not_captured(name, &span, captured);
            }
        }
        let mut names = |listed: &[Spanned<String>]| -> Vec<String> {
            listed.iter().filter_map(|field| self.captured(field, captured)).collect()
        };
        let changed = names(&rule.changed);
        let data = rule.data.as_ref().map_or_else(
            || fields.iter().map(|column| column.name.clone()).collect(),
            |listed| names(listed),
        );
        let destination = match &rule.destination {
            config::Destination::Channel(template) => Destination::Channel(template.clone()),
            config::Destination::Public => Destination::Public,
            config::Destination::Users => Destination::Users,
            config::Destination::Staff => Destination::Staff,
            config::Destination::Superuser => Destination::Superuser,
            config::Destination::Group(template) => Destination::Group(template.clone()),
            config::Destination::User(field) => Destination::User(self.captured(field, captured).unwrap_or_default()),
        };
        Rule {
            on: rule.on,
            changed,
            when: rule.when.clone(),
            destination,
            event_class: rule.event_class.clone(),
            message: rule.message.clone(),
            data,
            span: rule.span.clone(),
        }
    }

    /// A column by its own name or by the field's: a foreign key's column is the field's name and `_id`.
    fn find(&self, field: &str) -> Option<&TableColumn> {
        let with = |name: &str| self.columns.iter().find(|column| column.name == name);
        with(field).or_else(|| with(&format!("{field}_id")))
    }

    /// The column of one of the watch's fields.
    fn column(&mut self, field: &Spanned<String>) -> Option<Column> {
        let Some(column) = self.find(&field.value) else {
            let help = nearest(&field.value, self.columns.iter().map(|column| column.name.as_str()));
            let message = format!(
                "`{}.{}` has no column for `{}`",
                self.table.schema, self.table.name, field.value
            );
            self.problems
                .items
                .push(error(UNKNOWN_COLUMN, message, &field.span, "no such field or column", help));
            return None;
        };
        if column.generated == "v" {
            let message = format!(
                "`{}` is a virtual generated column: triggers only ever see null in it",
                field.value
            );
            let help = Some("capture the columns that it is computed from".to_owned());
            self.problems
                .items
                .push(error(CANNOT_WATCH, message, &field.span, "virtual", help));
            return None;
        }
        Some(column.column())
    }

    /// The captured column of a name in a rule.
    fn captured(&mut self, field: &Spanned<String>, captured: &[Column]) -> Option<String> {
        let name = self
            .find(&field.value)
            .map_or_else(|| field.value.clone(), |column| column.name.clone());
        if captured.iter().any(|column| column.name == name) {
            return Some(name);
        }
        self.not_captured(&field.value, &field.span, captured);
        None
    }

    fn not_captured(&mut self, name: &str, span: &Span, captured: &[Column]) {
        let message = format!("`{name}` is not captured");
        let help = if self.columns.iter().any(|column| column.name == name) {
            Some(format!("add `{name}` to the watch's `fields`"))
        } else {
            nearest(name, captured.iter().map(|column| column.name.as_str()))
        };
        self.problems
            .items
            .push(error(NOT_CAPTURED, message, span, "read here", help));
    }
}

/// The templates of a rule, with their places.
fn placed(rule: &config::Rule) -> impl Iterator<Item = (&Reference, Span)> {
    let target = match &rule.destination {
        config::Destination::Channel(template) | config::Destination::Group(template) => Some(template),
        _ => None,
    };
    let templates = [target, rule.event_class.as_ref(), rule.message.as_ref()];
    let of = |template: &'_ Template| template.span.clone();
    templates
        .into_iter()
        .flatten()
        .flat_map(move |template| template.references.iter().map(move |reference| (reference, of(template))))
        .chain(
            rule.when
                .iter()
                .flat_map(|when| when.references.iter().map(|reference| (reference, when.span.clone()))),
        )
}

fn references(rule: &config::Rule) -> impl Iterator<Item = &Reference> {
    placed(rule).map(|(reference, _)| reference)
}

/// "did you mean", when something known is near.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    known
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, candidate)| format!("did you mean `{candidate}`?"))
}

fn error(code: &'static str, message: String, span: &Span, label: &str, help: Option<String>) -> Diagnostic {
    Diagnostic {
        code,
        severity: Severity::Error,
        message,
        span: Some(span.clone()),
        label: label.to_owned(),
        help,
    }
}

fn warning(code: &'static str, message: String, span: &Span, label: &str) -> Diagnostic {
    Diagnostic {
        code,
        severity: Severity::Warning,
        message,
        span: Some(span.clone()),
        label: label.to_owned(),
        help: None,
    }
}
