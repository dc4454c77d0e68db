//! The rows of other tables that rules read: which rows a change needs, and which of their columns. The relay looks them up beforehand.

mod branch;

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::row::{Columns, plain};
use crate::capture::watch::{Lookup, Relation};
use crate::change::{Operation, Operations};
use crate::config::related::split;

pub(super) use branch::Branches;

/// Identifies a lookup: its index in [`super::Mapping::lookups`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(transparent)]
pub struct LookupId(pub(crate) usize);

/// Identifies a relation among those of all watches. A relation's id is greater than that of its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RelationId(pub(super) usize);

/// The location of a value in the row of a relation.
#[derive(Clone, Copy, Debug)]
pub(super) struct RelatedValue {
    pub(super) relation: RelationId,
    /// Its index in the values of the row.
    index: usize,
}

/// Rows of other tables that have been looked up.
pub trait RelatedRows: fmt::Debug + Sync {
    /// Returns the result of a lookup for `key`.
    fn row(&self, lookup: LookupId, key: &str) -> Found<'_>;
}

/// The result of a lookup.
#[derive(Clone, Copy, Debug)]
pub enum Found<'a> {
    /// The row: the values of its columns, in the order of the lookup.
    Row(&'a [Box<RawValue>]),
    /// There is no such row: all of its columns are null.
    Missing,
    /// The lookup failed, with the human-readable reason.
    Failed(&'a str),
}

/// An empty source of rows, for rules that read none.
#[derive(Clone, Copy, Debug)]
pub struct NoRelatedRows;

impl RelatedRows for NoRelatedRows {
    fn row(&self, _: LookupId, _: &str) -> Found<'_> {
        Found::Missing
    }
}

/// The relations of all watches that rules read.
#[derive(Debug, Default)]
pub(super) struct Relations {
    /// One lookup per table and key, with the columns that all relations read from it.
    pub(super) lookups: Vec<Lookup>,
    /// The relations, by their ids.
    nodes: Vec<Node>,
}

/// A relation.
#[derive(Debug)]
struct Node {
    path: String,
    lookup: LookupId,
    key: Key,
    /// The operations for which a rule reads it or one of its descendants.
    on: Operations,
}

/// The location of a relation's key.
#[derive(Debug)]
enum Key {
    /// In a column of the watched row.
    Column(String),
    /// In a value of the parent relation's row.
    Value(RelatedValue),
}

/// The relations of one watch, by their paths.
#[derive(Debug, Default)]
pub(super) struct Paths(Vec<(String, RelationId)>);

impl Paths {
    fn relation(&self, path: &str) -> Option<RelationId> {
        self.0.iter().find(|(known, _)| known == path).map(|(_, relation)| *relation)
    }

    /// Iterates over the relations whose key is in the watched row, and that a rule reads on `operation`.
    pub(super) fn roots<'r>(
        &self,
        relations: &'r Relations,
        operation: Operation,
    ) -> impl Iterator<Item = (RelationId, &'r str)> {
        let nodes = self.0.iter().map(|(_, relation)| (*relation, relations.node(*relation)));
        nodes.filter_map(move |(relation, node)| match &node.key {
            Key::Column(column) if node.on.contains(operation) => Some((relation, column.as_str())),
            _ => None,
        })
    }
}

impl Relations {
    /// Adds the relations of a watch.
    pub(super) fn add(&mut self, relations: &[Relation]) -> Paths {
        let mut paths = Paths::default();
        for relation in relations {
            let lookup = self.lookup(&relation.lookup);
            let parent = relation.path.rsplit_once('.').and_then(|(parent, _)| paths.relation(parent));
            let key = match parent {
                None => Key::Column(relation.column.name.clone()),
                Some(parent) => match self.value_of(parent, &relation.column.name) {
                    None => continue,
                    Some(value) => Key::Value(value),
                },
            };
            paths.0.push((relation.path.clone(), RelationId(self.nodes.len())));
            self.nodes.push(Node {
                path: relation.path.clone(),
                lookup,
                key,
                on: Operations::NONE,
            });
        }
        paths
    }

    /// Returns the lookup of the same table by the same key, extended by the columns of `wanted`.
    fn lookup(&mut self, wanted: &Lookup) -> LookupId {
        let same = |known: &Lookup| known.schema == wanted.schema && known.table == wanted.table && known.key == wanted.key;
        let Some(index) = self.lookups.iter().position(same) else {
            self.lookups.push(wanted.clone());
            return LookupId(self.lookups.len() - 1);
        };
        let columns = &mut self.lookups[index].columns;
        for column in &wanted.columns {
            if !columns.contains(column) {
                columns.push(column.clone());
            }
        }
        LookupId(index)
    }

    fn node(&self, relation: RelationId) -> &Node {
        &self.nodes[relation.0]
    }

    /// Returns the location of a column in the row of a relation.
    fn value_of(&self, relation: RelationId, column: &str) -> Option<RelatedValue> {
        let columns = &self.lookups[self.lookup_of(relation).0].columns;
        let index = columns.iter().position(|known| known.name == column)?;
        Some(RelatedValue { relation, index })
    }

    /// Resolves a dotted name to the relations on its path and its value, and records that a rule reads it on `on`.
    fn read(&mut self, paths: &Paths, name: &str, on: Operations) -> Option<(Vec<RelationId>, RelatedValue)> {
        let (path, column) = split(name, |path| paths.relation(path).is_some())?;
        let value = self.value_of(paths.relation(path)?, column?)?;
        let mut on_path = vec![value.relation];
        while let Key::Value(key) = self.node(on_path[0]).key {
            on_path.insert(0, key.relation);
        }
        for relation in &on_path {
            let node = &mut self.nodes[relation.0];
            node.on = node.on.union(on);
        }
        Some((on_path, value))
    }

    /// Resolves a dotted name to its value, and records that a rule reads it on `on`.
    pub(super) fn value(&mut self, paths: &Paths, name: &str, on: Operations) -> Option<RelatedValue> {
        self.read(paths, name, on).map(|(_, value)| value)
    }

    /// Returns the lookup of a relation.
    pub(super) fn lookup_of(&self, relation: RelationId) -> LookupId {
        self.node(relation).lookup
    }

    /// Iterates over the relations whose key is in the row of a relation, with their keys.
    pub(super) fn children<'a>(
        &'a self,
        relation: RelationId,
        values: &'a [Box<RawValue>],
    ) -> impl Iterator<Item = (RelationId, Cow<'a, str>)> {
        let nodes = self
            .nodes
            .iter()
            .enumerate()
            .filter(|(_, child)| child.on != Operations::NONE);
        nodes.filter_map(move |(child, node)| match node.key {
            Key::Value(key) if key.relation == relation => Some((RelationId(child), plain(values.get(key.index)?)?)),
            _ => None,
        })
    }

    /// Returns the row that `columns` lead to; `None` if they lack the column that holds the key.
    fn find<'r>(&self, relation: RelationId, columns: &Columns<'_>, rows: &'r dyn RelatedRows) -> Option<Found<'r>> {
        let Node { lookup, key, .. } = self.node(relation);
        let under = |key: &RawValue| plain(key).map_or(Found::Missing, |key| rows.row(*lookup, &key));
        match key {
            Key::Column(column) => columns.get(column).map(under),
            Key::Value(value) => Some(match self.find(value.relation, columns, rows)? {
                Found::Row(values) => values.get(value.index).map_or(Found::Missing, |key| under(key)),
                other => other,
            }),
        }
    }
}

/// The relations of a change's row, and the rows that were found for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Related<'a> {
    pub(super) relations: &'a Relations,
    pub(super) rows: &'a dyn RelatedRows,
}

impl<'a> Related<'a> {
    fn find(&self, relation: RelationId, columns: &Columns<'_>) -> Option<Found<'a>> {
        self.relations.find(relation, columns, self.rows)
    }

    /// Returns a value from the row of a relation; `None` if there is no such row.
    ///
    /// # Errors
    /// When the column that holds the key was not captured, or the lookup failed. The reason is human-readable.
    pub(super) fn value(&self, value: RelatedValue, columns: &Columns<'_>) -> Result<Option<&'a RawValue>, String> {
        match self.find(value.relation, columns) {
            Some(Found::Row(values)) => Ok(values.get(value.index).map(|value| &**value)),
            Some(Found::Missing) => Ok(None),
            Some(Found::Failed(reason)) => Err(self.failed(value.relation, reason)),
            None => Err(format!(
                "the row has no column that leads to `{}`",
                self.relations.node(value.relation).path
            )),
        }
    }

    /// Checks that the rows that `columns` lead to were looked up.
    ///
    /// # Errors
    /// When a lookup failed: the first relation and the human-readable reason.
    pub(super) fn check(&self, relations: &[RelationId], columns: &Columns<'_>) -> Result<(), String> {
        for relation in relations {
            if let Some(Found::Failed(reason)) = self.find(*relation, columns) {
                return Err(self.failed(*relation, reason));
            }
        }
        Ok(())
    }

    fn failed(&self, relation: RelationId, reason: &str) -> String {
        format!("`{}` could not be looked up: {reason}", self.relations.node(relation).path)
    }
}
