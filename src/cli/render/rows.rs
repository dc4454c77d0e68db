//! The rows of other tables that the client has looked up.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::value::RawValue;

use super::request::LookedUp;
use crate::change::Change;
use crate::mapping::{Found, LookupId, Mapping, RelatedRows, RelationId};

/// The results so far, by lookup and key.
#[derive(Debug)]
pub(super) struct Known(HashMap<LookupId, HashMap<String, End>>);

/// The result of a lookup.
#[derive(Debug)]
enum End {
    Row(Vec<Box<RawValue>>),
    Missing,
    Refused(String),
}

impl Known {
    /// Reads the rows of a request.
    ///
    /// # Errors
    /// When a value is not JSON.
    pub(super) fn new(rows: &[LookedUp]) -> serde_json::Result<Self> {
        let mut known: HashMap<LookupId, HashMap<String, End>> = HashMap::new();
        let value = |text: &Option<String>| match text {
            Some(text) => RawValue::from_string(text.clone()),
            None => Ok(RawValue::NULL.to_owned()),
        };
        for row in rows {
            let end = match (&row.refused, &row.values) {
                (Some(reason), _) => End::Refused(reason.clone()),
                (None, Some(values)) => End::Row(values.iter().map(value).collect::<Result<_, _>>()?),
                (None, None) => End::Missing,
            };
            known.entry(row.lookup).or_default().insert(row.key.clone(), end);
        }
        Ok(Self(known))
    }

    /// The keys that `changes` need and that have no result, by lookup. Keys that these lead to come later.
    pub(super) fn missing(&self, mapping: &Mapping, changes: &[Change<'_>]) -> BTreeMap<LookupId, BTreeSet<String>> {
        let mut missing: BTreeMap<LookupId, BTreeSet<String>> = BTreeMap::new();
        let mut wanted: Vec<(RelationId, String)> = Vec::new();
        for change in changes {
            mapping.roots(change, |relation, key| wanted.push((relation, key.to_owned())));
        }
        while let Some((relation, key)) = wanted.pop() {
            let lookup = mapping.lookup_of(relation);
            if self.end(lookup, &key).is_none() {
                missing.entry(lookup).or_default().insert(key);
                continue;
            }
            let children = mapping.children(relation, self.row(lookup, &key));
            wanted.extend(children.map(|(relation, key)| (relation, key.into_owned())));
        }
        missing
    }

    fn end(&self, lookup: LookupId, key: &str) -> Option<&End> {
        self.0.get(&lookup)?.get(key)
    }
}

impl RelatedRows for Known {
    fn row(&self, lookup: LookupId, key: &str) -> Found<'_> {
        match self.end(lookup, key) {
            Some(End::Row(values)) => Found::Row(values),
            Some(End::Refused(reason)) => Found::Failed(reason),
            Some(End::Missing) | None => Found::Missing,
        }
    }
}
