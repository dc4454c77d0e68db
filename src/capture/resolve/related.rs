//! Resolution of `related`: the rows of other tables that a watch's rules read.

use std::collections::HashMap;

use sqlx::PgPool;

use super::code::{CANNOT_WATCH, LOOSE_KEY, NAMED_LIKE_COLUMN, NO_FOREIGN_KEY, NO_SINGLE_KEY, UNKNOWN_COLUMN};
use super::subject::unknown_table;
use crate::capture::catalog::{self, Kind, Table};
use crate::capture::watch::{Column, Lookup, Relation};
use crate::config::diagnostic::{Diagnostic, Diagnostics};
use crate::config::nearest::did_you_mean;
use crate::config::{Related, Span, Spanned, TableName};

/// Returns the relations of a watch of `table`, parents first. Those that lead nowhere are left out together with their children, and
/// recorded as problems.
pub(super) async fn find(
    pool: &PgPool,
    related: &[Related],
    table: &Table,
    diagnostics: &mut Diagnostics,
) -> Result<Vec<Relation>, sqlx::Error> {
    let mut relations: Vec<Relation> = Vec::new();
    let mut tables: HashMap<&str, Table> = HashMap::new();
    for entry in related {
        let path = entry.path.value.as_str();
        let (parent, name) = path
            .rsplit_once('.')
            .map_or((None, path), |(parent, name)| (Some(parent), name));
        let from = match parent {
            None => table,
            Some(parent) => match tables.get(parent) {
                Some(table) => table,
                None => continue,
            },
        };
        let Some(column) = key_holder(entry, name, from, diagnostics) else {
            continue;
        };
        let target = match &entry.table {
            Some(name) => named(pool, entry, name, diagnostics).await?,
            None => referred(pool, entry, from, &column, diagnostics).await?,
        };
        let Some((other, key)) = target else { continue };
        let lookup = Lookup {
            schema: other.relation.name.schema.clone(),
            table: other.relation.name.name.clone(),
            key,
            columns: columns(&entry.fields, &other, diagnostics),
        };
        let parent = parent.and_then(|parent| relations.iter_mut().find(|relation| relation.path == parent));
        if let Some(parent) = parent.filter(|parent| !parent.lookup.columns.contains(&column)) {
            parent.lookup.columns.push(column.clone());
        }
        relations.push(Relation {
            path: path.to_owned(),
            column,
            lookup,
        });
        tables.insert(path, other);
    }
    Ok(relations)
}

/// Returns the column of `from` that holds the key of the other row.
fn key_holder(entry: &Related, name: &str, from: &Table, diagnostics: &mut Diagnostics) -> Option<Column> {
    let (field, span) = entry
        .column
        .as_ref()
        .map_or((name, &entry.path.span), |column| (column.value.as_str(), &column.span));
    let Some(column) = from.resolve(field) else {
        diagnostics.push(unknown_column(field, span, from));
        return None;
    };
    if from.column(name).is_some() {
        let message = format!(
            "`{}` has a column `{name}`, so that the row it leads to needs another name",
            from.relation.name
        );
        let problem = Diagnostic::error(NAMED_LIKE_COLUMN, entry.path.span.clone(), message, "a column's name");
        diagnostics.push(problem.help(format!(
            "choose one: `their_{name} = {{ column = \"{field}\", fields = […] }}`"
        )));
        return None;
    }
    if column.computed_when_read && !entry.path.value.contains('.') {
        let message = format!("`{field}` is a virtual generated column");
        let problem = Diagnostic::error(CANNOT_WATCH, span.clone(), message, "triggers see null in it");
        diagnostics.push(problem);
        return None;
    }
    Some(column.column.clone())
}

/// Returns the table that an entry names, and its key.
async fn named(
    pool: &PgPool,
    entry: &Related,
    name: &Spanned<TableName>,
    diagnostics: &mut Diagnostics,
) -> Result<Option<(Table, Column)>, sqlx::Error> {
    let Some(relation) = catalog::find(pool, name.value.schema.as_deref(), &name.value.name).await? else {
        diagnostics.push(unknown_table(pool, &name.span, &name.value).await?);
        return Ok(None);
    };
    let kind = relation.kind;
    let table = Table::read(pool, relation).await?;
    let key = if let Some(key) = &entry.key {
        let Some(column) = table.resolve(&key.value) else {
            diagnostics.push(unknown_column(&key.value, &key.span, &table));
            return Ok(None);
        };
        column.column.clone()
    } else {
        let single = match table.key.as_slice() {
            [key] => table.column(key),
            _ => None,
        };
        let Some(column) = single else {
            let message = format!("`{}` has no primary key of one column", table.relation.name);
            let problem = Diagnostic::error(NO_SINGLE_KEY, name.span.clone(), message, "its rows cannot be looked up");
            diagnostics.push(problem.help("name the column to look in: `key = \"…\"`".to_owned()));
            return Ok(None);
        };
        column.column.clone()
    };
    let has_indexes = matches!(kind, Kind::Table | Kind::Partitioned | Kind::Partition);
    if has_indexes && !catalog::is_unique(pool, table.relation.oid, &key.name).await? {
        let span = entry.key.as_ref().map_or_else(|| name.span.clone(), |key| key.span.clone());
        let message = format!("`{}` has no unique index on `{}`", table.relation.name, key.name);
        let label = "each lookup reads the whole table, and takes any of several rows";
        diagnostics.push(Diagnostic::warning(LOOSE_KEY, span, message, label));
    }
    Ok(Some((table, key)))
}

/// Returns the table and column that a foreign key on `column` references.
async fn referred(
    pool: &PgPool,
    entry: &Related,
    from: &Table,
    column: &Column,
    diagnostics: &mut Diagnostics,
) -> Result<Option<(Table, Column)>, sqlx::Error> {
    let Some((relation, key)) = catalog::foreign_key(pool, from.relation.oid, &column.name).await? else {
        let message = format!("`{}` of `{}` is not a foreign key", column.name, from.relation.name);
        let span = entry.column.as_ref().map_or(&entry.path.span, |column| &column.span);
        let problem = Diagnostic::error(NO_FOREIGN_KEY, span.clone(), message, "it references no table");
        let help = format!("name the table: `{} = {{ table = \"…\", fields = […] }}`", entry.path.value);
        diagnostics.push(problem.help(help));
        return Ok(None);
    };
    let table = Table::read(pool, relation).await?;
    let key = table.column(&key).map(|key| key.column.clone());
    Ok(key.map(|key| (table, key)))
}

/// Returns the columns that `fields` name.
fn columns(fields: &[Spanned<String>], table: &Table, diagnostics: &mut Diagnostics) -> Vec<Column> {
    let mut columns = Vec::new();
    for field in fields {
        match table.resolve(&field.value) {
            Some(column) if columns.contains(&column.column) => {}
            Some(column) => columns.push(column.column.clone()),
            None => diagnostics.push(unknown_column(&field.value, &field.span, table)),
        }
    }
    columns
}

fn unknown_column(name: &str, span: &Span, table: &Table) -> Diagnostic {
    let message = format!("`{}` has no column for `{name}`", table.relation.name);
    let columns = table.columns.iter().map(|column| column.column.name.as_str());
    let fields = columns.clone().filter_map(|column| column.strip_suffix("_id"));
    let near = did_you_mean(name, columns.chain(fields));
    Diagnostic::error(UNKNOWN_COLUMN, span.clone(), message, "no such field or column").help(near)
}
