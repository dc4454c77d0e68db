//! The scope of templates: the columns and related rows of a change, as values of the template engine.

use std::sync::Arc;

use minijinja::Value;
use minijinja::value::{Enumerator, Object};
use serde_json::value::RawValue;

use crate::change::Change;
use crate::config::{Reference, Side};
use crate::mapping::related::{Branches, RelationId};
use crate::mapping::row::{Columns, Row};

/// The names that a rule's templates read; only these are converted from JSON to values.
#[derive(Debug, Default)]
pub(in crate::mapping) struct Reads {
    row: Vec<String>,
    old: Vec<String>,
    whole_row: bool,
    whole_old: bool,
    pk: bool,
    /// The values that are read from the rows that `row` leads to.
    related_row: Branches,
    /// Likewise for `old`.
    related_old: Branches,
}

impl Reads {
    /// Adds the names that a rule reads; `related` is called with those of other tables.
    pub(in crate::mapping) fn add<'r>(&mut self, references: &'r [Reference], mut related: impl FnMut(&mut Branches, &'r str)) {
        for reference in references {
            match reference {
                Reference::Row(column) => self.row.push(column.clone()),
                Reference::Old(column) => self.old.push(column.clone()),
                Reference::Related(Side::Row, name) => related(&mut self.related_row, name),
                Reference::Related(Side::Old, name) => related(&mut self.related_old, name),
                Reference::Whole(Side::Row) => self.whole_row = true,
                Reference::Whole(Side::Old) => self.whole_old = true,
                Reference::Variable(name) => self.pk |= name == "pk",
            }
        }
    }

    /// Returns the relations that are read from `row` and from `old`.
    pub(in crate::mapping) fn relations(&self) -> [Vec<RelationId>; 2] {
        [self.related_row.relations(), self.related_old.relations()]
    }

    /// Returns the scope of a template.
    pub(in crate::mapping) fn scope(&self, change: &Change<'_>, model: &Arc<str>, row: &Row<'_>) -> Value {
        let pk = if self.pk {
            let mut json = Vec::new();
            row.write_pk(&mut json);
            std::str::from_utf8(&json).ok().map_or_else(|| Value::from(()), from_json)
        } else {
            Value::from(())
        };
        Value::from_object(Scope {
            row: version(
                &row.current,
                &self.row,
                self.whole_row,
                self.related_row.values(row.related, &row.current),
            ),
            old: version(
                &row.old,
                &self.old,
                self.whole_old,
                self.related_old.values(row.related, &row.old),
            ),
            pk,
            operation: change.operation,
            model: Arc::clone(model),
            at: change.at,
        })
    }
}

/// Converts the columns of one version that are read; `related` are the rows that it leads to.
fn version(columns: &Columns<'_>, names: &[String], whole: bool, related: Vec<(Arc<str>, Value)>) -> Value {
    let convert = |(name, value): (&str, &RawValue)| (Arc::from(name), from_json(value.get()));
    let columns = if whole {
        columns.iter().map(convert).collect()
    } else {
        names
            .iter()
            .filter_map(|name| columns.get(name).map(|value| convert((name, value))))
            .collect()
    };
    Value::from_object(Version::new(columns, related))
}

/// Converts a JSON value for a template. Integers keep all their digits, and decimals are already strings.
pub(in crate::mapping) fn from_json(json: &str) -> Value {
    match json.as_bytes().first() {
        Some(b'n') => Value::from(()),
        Some(b't') => Value::from(true),
        Some(b'f') => Value::from(false),
        Some(b'"' | b'{' | b'[') => serde_json::from_str(json).unwrap_or_else(|_| Value::from(json)),
        _ => json
            .parse::<i64>()
            .map(Value::from)
            .or_else(|_| json.parse::<i128>().map(Value::from))
            .or_else(|_| json.parse::<f64>().map(Value::from))
            .unwrap_or_else(|_| Value::from(json)),
    }
}

/// The names of the top level.
#[derive(Debug)]
struct Scope {
    row: Value,
    old: Value,
    pk: Value,
    operation: crate::change::Operation,
    model: Arc<str>,
    at: jiff::Timestamp,
}

impl Object for Scope {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        Some(match key.as_str()? {
            "row" => self.row.clone(),
            "old" => self.old.clone(),
            "pk" => self.pk.clone(),
            "op" => Value::from(self.operation.name()),
            "verb" => Value::from(self.operation.verb()),
            "model" => Value::from(&self.model),
            "at" => Value::from(format!("{:.3}", self.at)),
            _ => return None,
        })
    }
}

/// `row` or `old`, or a row that they lead to.
#[derive(Debug)]
pub(in crate::mapping) struct Version {
    columns: Vec<(Arc<str>, Value)>,
    /// The rows that it leads to; iteration skips them.
    related: Vec<(Arc<str>, Value)>,
}

impl Version {
    pub(in crate::mapping) const fn new(columns: Vec<(Arc<str>, Value)>, related: Vec<(Arc<str>, Value)>) -> Self {
        Self { columns, related }
    }
}

impl Object for Version {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let key = key.as_str()?;
        let mut all = self.columns.iter().chain(&self.related);
        all.find(|(name, _)| &**name == key).map(|(_, value)| value.clone())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.columns.iter().map(|(name, _)| Value::from(name)).collect())
    }
}
