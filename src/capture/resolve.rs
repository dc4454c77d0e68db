//! Resolution of the configuration's names in the database.

mod code;
mod moved;
mod reference;
mod related;
mod scope;
mod subject;

pub use code::*;

use sqlx::PgPool;

use self::scope::Scope;
use super::catalog::{Kind, Table};
use super::watch::{Relation, Watch};
use crate::change::{Operation, Operations};
use crate::config::diagnostic::{Diagnostic, Diagnostics};
use crate::config::{self, Config, Subject};

/// The result of [`resolve`].
#[derive(Debug)]
pub struct Resolved {
    /// The watches, in the file's order; complete only if the diagnostics contain no error.
    pub watches: Vec<Watch>,
    /// The problems, in the order of their positions.
    pub diagnostics: Diagnostics,
}

/// Finds the tables and columns that `config` names. Takes no lock.
///
/// # Errors
/// When the database does not answer; a missing table or column is a diagnostic.
pub async fn resolve(pool: &PgPool, config: &Config) -> Result<Resolved, sqlx::Error> {
    let mut watches = Vec::new();
    let mut diagnostics = Diagnostics::default();
    let mut tables: Vec<Table> = Vec::new();
    for watch in &config.watches {
        let Some(relation) = subject::find(pool, &watch.subject, &mut diagnostics).await? else {
            continue;
        };
        let table = Table::read(pool, relation).await?;
        if let Some(problem) = overlap(&table, watch, &tables) {
            diagnostics.push(problem);
            continue;
        }
        let relations = related::find(pool, &watch.related, &table, &mut diagnostics).await?;
        watches.push(resolved(watch, &table, relations, &mut diagnostics));
        tables.push(table);
    }
    diagnostics.sort();
    Ok(Resolved { watches, diagnostics })
}

/// Returns the problem that an earlier watch covers the rows of `table` too, under another name or as a partition, so that every change
/// would be captured twice.
fn overlap(table: &Table, watch: &config::Watch, earlier: &[Table]) -> Option<Diagnostic> {
    let span = || watch.subject.span.clone();
    let name = &table.relation.name;
    if earlier.iter().any(|other| other.relation.oid == table.relation.oid) {
        let message = format!("table `{name}` is already watched");
        return Some(Diagnostic::error(WATCHED_TWICE, span(), message, "the same table as above"));
    }
    let whole = earlier
        .iter()
        .find(|other| table.ancestors.contains(&other.relation.oid) || other.ancestors.contains(&table.relation.oid))?;
    let message = format!(
        "`{name}` and `{}` share rows: one is a partition of the other",
        whole.relation.name
    );
    let problem = Diagnostic::error(WATCHED_TWICE, span(), message, "its rows are watched above");
    Some(problem.help("watch only the partitioned table: it covers the rows of every partition".to_owned()))
}

/// Resolves the names of a watch; problems are added to `diagnostics`.
fn resolved(watch: &config::Watch, table: &Table, related: Vec<Relation>, diagnostics: &mut Diagnostics) -> Watch {
    let (model, name) = match &watch.subject.value {
        Subject::Model { app, model, .. } => (format!("{app}.{model}"), model.clone()),
        Subject::Table(table) => (subject::display(table), table.name.clone()),
    };
    let span = watch.subject.span.clone();
    if table.key.is_empty() {
        let message = format!("`{model}` has no primary key");
        let problem = Diagnostic::warning(NO_PRIMARY_KEY, span.clone(), message, "its events have no `pk`");
        diagnostics.push(problem.help("give the table a primary key, or route and identify its rows by `fields`".to_owned()));
    }
    if let Some(constraint) = table.deferrable.first() {
        let message = format!("the key `{constraint}` of `{model}` is deferrable");
        let label = "the insert of a key may arrive before the delete of the same key";
        diagnostics.push(Diagnostic::warning(DEFERRABLE_KEY, span.clone(), message, label));
    }
    if table.relation.kind == Kind::Partition {
        let message = format!("`{}` is a partition", table.relation.name);
        let label = "rows that move to another partition arrive as deleted";
        diagnostics.push(Diagnostic::warning(PARTITION, span.clone(), message, label));
    }
    let mut scope = Scope::new(table, watch, &related, diagnostics);
    let rules: Vec<_> = watch.rules.iter().map(|rule| scope.rule(rule)).collect();
    let old = scope.former(&watch.rules);
    let (key, columns) = scope.into_columns();
    Watch {
        model,
        name,
        source: table.relation.name.to_string(),
        schema: table.relation.name.schema.clone(),
        table: table.relation.name.name.clone(),
        key,
        columns,
        related,
        old,
        operations: rules.iter().fold(Operations::NONE, |all, rule| all.union(rule.on)),
        rules,
        span,
    }
}

/// Returns whether a rule fires on updates: only then does it read former values that a delete would not carry anyway.
fn fires_on_update(rule: &config::Rule) -> bool {
    rule.on.contains(Operation::Update)
}
