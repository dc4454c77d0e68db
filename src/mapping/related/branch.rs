//! The values that a rule reads from related rows, as a tree of names.

use std::sync::Arc;

use minijinja::Value;
use serde_json::value::RawValue;

use super::{Found, Paths, Related, RelationId, Relations};
use crate::change::Operations;
use crate::mapping::event::write_string;
use crate::mapping::row::Columns;
use crate::mapping::template::{Version, from_json};

/// The values that are read, by the names of the relations.
#[derive(Clone, Debug, Default)]
pub(in crate::mapping) struct Branches(Vec<Branch>);

#[derive(Clone, Debug)]
struct Branch {
    name: Arc<str>,
    relation: RelationId,
    /// The columns that are read, with their indices in the values of the row.
    values: Vec<(Arc<str>, usize)>,
    children: Branches,
}

impl Branches {
    /// Adds the value of a dotted name, for a rule that applies to `on`. A name that does not resolve is skipped, since no such
    /// configuration is used.
    pub(in crate::mapping) fn add(&mut self, relations: &mut Relations, paths: &Paths, name: &str, on: Operations) {
        let Some((on_path, value)) = relations.read(paths, name, on) else {
            return;
        };
        let mut names = name.split('.');
        let mut branches = self;
        for (depth, relation) in on_path.iter().enumerate() {
            let name = names.next().unwrap_or_default();
            let known = branches.0.iter().position(|branch| branch.relation == *relation);
            let at = known.unwrap_or_else(|| {
                branches.0.push(Branch {
                    name: name.into(),
                    relation: *relation,
                    values: Vec::new(),
                    children: Self::default(),
                });
                branches.0.len() - 1
            });
            let branch = &mut branches.0[at];
            if depth + 1 == on_path.len() {
                let column = names.next().unwrap_or_default();
                if branch.values.iter().all(|(_, known)| *known != value.index) {
                    branch.values.push((column.into(), value.index));
                }
                return;
            }
            branches = &mut branch.children;
        }
    }

    /// Returns every relation that is read.
    pub(in crate::mapping) fn relations(&self) -> Vec<RelationId> {
        let relations = self
            .0
            .iter()
            .flat_map(|branch| [vec![branch.relation], branch.children.relations()].concat());
        relations.collect()
    }

    /// Returns the values in a template's scope in addition to the columns. A relation whose key was not captured is omitted.
    pub(in crate::mapping) fn values(&self, related: Related<'_>, columns: &Columns<'_>) -> Vec<(Arc<str>, Value)> {
        let value = |branch: &Branch| {
            let found = related.find(branch.relation, columns)?;
            let values = branch.values.iter().map(|(name, index)| {
                let json = value_of(found, *index).map_or_else(|| Value::from(()), |value| from_json(value.get()));
                (Arc::clone(name), json)
            });
            let children = branch.children.values(related, columns);
            let row = Version::new(values.collect(), children);
            Some((Arc::clone(&branch.name), Value::from_object(row)))
        };
        self.0.iter().filter_map(value).collect()
    }

    /// Appends them as members to the JSON object `out`; `separate` is whether it already has members.
    pub(in crate::mapping) fn write(&self, out: &mut Vec<u8>, related: Related<'_>, columns: &Columns<'_>, mut separate: bool) {
        for branch in &self.0 {
            let Some(found) = related.find(branch.relation, columns) else {
                continue;
            };
            if std::mem::replace(&mut separate, true) {
                out.push(b',');
            }
            write_string(out, &branch.name);
            out.extend_from_slice(b":{");
            for (position, (name, index)) in branch.values.iter().enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                write_string(out, name);
                out.push(b':');
                out.extend_from_slice(value_of(found, *index).map_or("null", RawValue::get).as_bytes());
            }
            branch.children.write(out, related, columns, !branch.values.is_empty());
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
