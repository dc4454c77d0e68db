//! The configuration's names, found in the database.

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

/// What became of the configuration's names.
#[derive(Debug)]
pub struct Resolved {
    /// The watches, in the file's order; complete only without errors among the diagnostics.
    pub watches: Vec<Watch>,
    /// The problems, in the order of their places.
    pub diagnostics: Diagnostics,
}

/// Finds every table and column that `config` names. Takes no lock.
///
/// # Errors
/// When the database does not answer; what it does not have is a diagnostic.
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

/// The problem that `table` is watched by an earlier watch too: under another name, or as a part of a partitioned table, where
/// every change would be captured twice.
fn overlap(table: &Table, watch: &config::Watch, earlier: &[Table]) -> Option<Diagnostic> {
    let span = || watch.subject.span.clone();
    let name = &table.relation.name;
    if earlier.iter().any(|other| other.relation.oid == table.relation.oid) {
        let message = format!("table `{name}` is watched already");
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
    Some(problem.help("watch the partitioned table alone: it sees the rows of every partition".to_owned()))
}

/// A watch with its names resolved; problems go to `diagnostics`.
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
        let message = format!("the key `{constraint}` of `{model}` is checked late");
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

/// Whether a rule hears updates: only then does it read former values that a delete would not carry anyway.
fn hears_update(rule: &config::Rule) -> bool {
    rule.on.contains(Operation::Update)
}
