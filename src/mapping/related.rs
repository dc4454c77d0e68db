//! The rows of other tables that rules read: which rows a change needs, and which of their columns. The relay looks them up beforehand.

mod branch;

use std::borrow::Cow;
use std::fmt;

use serde_json::value::RawValue;

use super::row::{Columns, plain};
use crate::capture::watch::{Lookup, Relation};
use crate::change::{Operation, Operations};
use crate::config::related::split;

pub(super) use branch::Branches;

/// Rows of other tables that have been looked up.
pub trait Rows: fmt::Debug + Sync {
    /// Returns the result for `key` of the lookup with this index in [`super::Mapping::lookups`].
    fn row(&self, lookup: usize, key: &str) -> Found<'_>;
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
pub struct NoRows;

impl Rows for NoRows {
    fn row(&self, _: usize, _: &str) -> Found<'_> {
        Found::Missing
    }
}

/// The relations of all watches that rules read.
#[derive(Debug, Default)]
pub(super) struct Relations {
    /// One lookup per table and key, with the columns that all relations read from it.
    pub(super) lookups: Vec<Lookup>,
    /// The relations, parents before children.
    nodes: Vec<Node>,
}

/// A relation.
#[derive(Debug)]
struct Node {
    path: String,
    lookup: usize,
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
    Value { parent: usize, index: usize },
}

/// The relations of one watch, by their paths.
#[derive(Debug, Default)]
pub(super) struct Paths(Vec<(String, usize)>);

impl Paths {
    fn node(&self, path: &str) -> Option<usize> {
        self.0.iter().find(|(known, _)| known == path).map(|(_, node)| *node)
    }

    /// Iterates over the relations whose key is in the watched row, and that a rule reads on `operation`.
    pub(super) fn roots<'r>(&self, relations: &'r Relations, operation: Operation) -> impl Iterator<Item = (usize, &'r str)> {
        let nodes = self.0.iter().map(|(_, node)| (*node, &relations.nodes[*node]));
        nodes.filter_map(move |(index, node)| match &node.key {
            Key::Column(column) if node.on.contains(operation) => Some((index, column.as_str())),
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
            let parent = relation.path.rsplit_once('.').and_then(|(parent, _)| paths.node(parent));
            let key = match parent {
                None => Key::Column(relation.column.name.clone()),
                Some(parent) => {
                    let lookup = self.nodes[parent].lookup;
                    let Some(index) = self.index(lookup, &relation.column.name) else {
                        continue;
                    };
                    Key::Value { parent, index }
                }
            };
            paths.0.push((relation.path.clone(), self.nodes.len()));
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
    fn lookup(&mut self, wanted: &Lookup) -> usize {
        let same = |known: &Lookup| known.schema == wanted.schema && known.table == wanted.table && known.key == wanted.key;
        let Some(index) = self.lookups.iter().position(same) else {
            self.lookups.push(wanted.clone());
            return self.lookups.len() - 1;
        };
        let columns = &mut self.lookups[index].columns;
        for column in &wanted.columns {
            if !columns.contains(column) {
                columns.push(column.clone());
            }
        }
        index
    }

    /// Returns the index of a column in the values of a lookup.
    fn index(&self, lookup: usize, column: &str) -> Option<usize> {
        self.lookups[lookup].columns.iter().position(|known| known.name == column)
    }

    /// Resolves a dotted name to the relations on its path and the index of its value, and records that a rule reads it on `on`.
    fn read(&mut self, paths: &Paths, name: &str, on: Operations) -> Option<(Vec<usize>, usize)> {
        let (path, column) = split(name, |path| paths.node(path).is_some())?;
        let node = paths.node(path)?;
        let index = self.index(self.nodes[node].lookup, column?)?;
        let mut path_nodes = vec![node];
        while let Key::Value { parent, .. } = self.nodes[path_nodes[0]].key {
            path_nodes.insert(0, parent);
        }
        for node in &path_nodes {
            self.nodes[*node].on = self.nodes[*node].on.union(on);
        }
        Some((path_nodes, index))
    }

    /// Resolves a dotted name to its relation and the index in the values of its row, and records that a rule reads it on `on`.
    pub(super) fn value(&mut self, paths: &Paths, name: &str, on: Operations) -> Option<(usize, usize)> {
        let (path_nodes, index) = self.read(paths, name, on)?;
        path_nodes.last().map(|node| (*node, index))
    }

    /// Returns the number of relations.
    pub(super) const fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Returns the lookup of a relation.
    pub(super) fn lookup_of(&self, node: usize) -> usize {
        self.nodes[node].lookup
    }

    /// Iterates over the relations that the row of a relation leads to, with their keys.
    pub(super) fn further<'a>(&'a self, node: usize, values: &'a [Box<RawValue>]) -> impl Iterator<Item = (usize, Cow<'a, str>)> {
        let nodes = self.nodes.iter().enumerate().filter(|(_, next)| next.on != Operations::NONE);
        nodes.filter_map(move |(next, found)| match found.key {
            Key::Value { parent, index } if parent == node => Some((next, plain(values.get(index)?)?)),
            _ => None,
        })
    }

    /// Returns the row that `columns` lead to; `None` if they lack the column that holds the key.
    fn find<'r>(&self, node: usize, columns: &Columns<'_>, rows: &'r dyn Rows) -> Option<Found<'r>> {
        let Node { lookup, key, .. } = &self.nodes[node];
        let under = |key: &RawValue| plain(key).map_or(Found::Missing, |key| rows.row(*lookup, &key));
        match key {
            Key::Column(column) => columns.get(column).map(under),
            Key::Value { parent, index } => Some(match self.find(*parent, columns, rows)? {
                Found::Row(values) => values.get(*index).map_or(Found::Missing, |key| under(key)),
                other => other,
            }),
        }
    }
}

/// The relations of a change's row, and the rows that were found for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Related<'a> {
    pub(super) relations: &'a Relations,
    pub(super) rows: &'a dyn Rows,
}

impl<'a> Related<'a> {
    fn find(&self, node: usize, columns: &Columns<'_>) -> Option<Found<'a>> {
        self.relations.find(node, columns, self.rows)
    }

    /// Returns a value from the row of a relation; `None` if there is no such row.
    ///
    /// # Errors
    /// When the column that holds the key was not captured, or the lookup failed. The reason is human-readable.
    pub(super) fn value(&self, (node, index): (usize, usize), columns: &Columns<'_>) -> Result<Option<&'a RawValue>, String> {
        match self.find(node, columns) {
            Some(Found::Row(values)) => Ok(values.get(index).map(|value| &**value)),
            Some(Found::Missing) => Ok(None),
            Some(Found::Failed(reason)) => Err(self.failed(node, reason)),
            None => Err(format!(
                "the row has no column that leads to `{}`",
                self.relations.nodes[node].path
            )),
        }
    }

    /// Checks that the rows that `columns` lead to were looked up.
    ///
    /// # Errors
    /// When a lookup failed: the first relation and the human-readable reason.
    pub(super) fn check(&self, nodes: &[usize], columns: &Columns<'_>) -> Result<(), String> {
        for node in nodes {
            if let Some(Found::Failed(reason)) = self.find(*node, columns) {
                return Err(self.failed(*node, reason));
            }
        }
        Ok(())
    }

    fn failed(&self, node: usize, reason: &str) -> String {
        format!("`{}` could not be looked up: {reason}", self.relations.nodes[node].path)
    }
}
