//! What one rule reads of the rows that a row leads to, as a tree of names.

use std::sync::Arc;

use minijinja::Value;
use serde_json::value::RawValue;

use super::{Found, Paths, Related, Relations};
use crate::change::Operations;
use crate::mapping::event::write_string;
use crate::mapping::row::Columns;
use crate::mapping::template::{Version, from_json};

/// What is read, by the relations' names.
#[derive(Clone, Debug, Default)]
pub(in crate::mapping) struct Branches(Vec<Branch>);

#[derive(Clone, Debug)]
struct Branch {
    name: Arc<str>,
    node: usize,
    /// The columns that are read, with their places among the row's values.
    values: Vec<(Arc<str>, usize)>,
    further: Branches,
}

impl Branches {
    /// Adds the value that a dotted name means, for a rule that hears `on`. A name that means none is left out: the configuration
    /// was not used with one.
    pub(in crate::mapping) fn add(&mut self, relations: &mut Relations, paths: &Paths, name: &str, on: Operations) {
        let Some((way, index)) = relations.read(paths, name, on) else {
            return;
        };
        let mut names = name.split('.');
        let mut branches = self;
        for (depth, node) in way.iter().enumerate() {
            let name = names.next().unwrap_or_default();
            let known = branches.0.iter().position(|branch| branch.node == *node);
            let at = known.unwrap_or_else(|| {
                branches.0.push(Branch {
                    name: name.into(),
                    node: *node,
                    values: Vec::new(),
                    further: Self::default(),
                });
                branches.0.len() - 1
            });
            let branch = &mut branches.0[at];
            if depth + 1 == way.len() {
                let column = names.next().unwrap_or_default();
                if branch.values.iter().all(|(_, known)| *known != index) {
                    branch.values.push((column.into(), index));
                }
                return;
            }
            branches = &mut branch.further;
        }
    }

    /// Every relation that is read.
    pub(in crate::mapping) fn nodes(&self) -> Vec<usize> {
        let nodes = self
            .0
            .iter()
            .flat_map(|branch| [vec![branch.node], branch.further.nodes()].concat());
        nodes.collect()
    }

    /// What a template sees of them beside the columns. A relation whose key was not captured is left out.
    pub(in crate::mapping) fn values(&self, related: Related<'_>, columns: &Columns<'_>) -> Vec<(Arc<str>, Value)> {
        let value = |branch: &Branch| {
            let found = related.find(branch.node, columns)?;
            let values = branch.values.iter().map(|(name, index)| {
                let json = value_of(found, *index).map_or_else(|| Value::from(()), |value| from_json(value.get()));
                (Arc::clone(name), json)
            });
            let further = branch.further.values(related, columns);
            let row = Version::new(values.collect(), further);
            Some((Arc::clone(&branch.name), Value::from_object(row)))
        };
        self.0.iter().filter_map(value).collect()
    }

    /// Appends them to the object `out` as members; `separate` says whether it has some already.
    pub(in crate::mapping) fn write(&self, out: &mut Vec<u8>, related: Related<'_>, columns: &Columns<'_>, mut separate: bool) {
        for branch in &self.0 {
            let Some(found) = related.find(branch.node, columns) else {
                continue;
            };
            if std::mem::replace(&mut separate, true) {
                out.push(b',');
            }
            write_string(out, &branch.name);
            out.extend_from_slice(b":{");
            for (place, (name, index)) in branch.values.iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                write_string(out, name);
                out.push(b':');
                out.extend_from_slice(value_of(found, *index).map_or("null", RawValue::get).as_bytes());
            }
            branch.further.write(out, related, columns, !branch.values.is_empty());
            out.push(b'}');
        }
    }
}

fn value_of(found: Found<'_>, index: usize) -> Option<&RawValue> {
    match found {
        Found::Row(values) => values.get(index).map(|value| &**value),
        Found::Missing | Found::Failed(_) => None,
    }
}
