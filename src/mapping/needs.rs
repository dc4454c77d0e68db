//! The rows of other tables that rules need before a change can be mapped, and those that a change makes stale.

use std::borrow::Cow;

use super::Mapping;
use super::related::{Found, LookupId, NoRelatedRows, RelationId};
use super::row::{Columns, Row, plain};
use crate::capture::watch::{Lookup, Watch};
use crate::change::Change;

impl Mapping {
    /// Returns the lookups in other tables by which rules read rows.
    #[must_use]
    pub fn lookups(&self) -> &[Lookup] {
        &self.relations.lookups
    }

    /// Returns a lookup.
    #[must_use]
    pub fn lookup(&self, id: LookupId) -> &Lookup {
        &self.relations.lookups[id.0]
    }

    /// Returns the lookup of a relation.
    #[must_use]
    pub fn lookup_of(&self, relation: RelationId) -> LookupId {
        self.relations.lookup_of(relation)
    }

    /// Calls `want` with every relation and key that the rules need directly for a change.
    pub fn roots(&self, change: &Change<'_>, mut want: impl FnMut(RelationId, &str)) {
        let Some(watch) = self.watches.get(change.source) else {
            return;
        };
        let mut roots = watch.related.roots(&self.relations, change.operation).peekable();
        if roots.peek().is_none() {
            return;
        }
        // The mapping itself reports a row that cannot be parsed.
        let Ok(row) = Row::read(change, &watch.key, self.related(&NoRelatedRows)) else {
            return;
        };
        for (relation, column) in roots {
            for value in [row.current.get(column), row.old.get(column)].into_iter().flatten() {
                if let Some(key) = plain(value) {
                    want(relation, &key);
                }
            }
        }
    }

    /// Iterates over the relations whose key is in the row that was found for a relation, with their keys.
    pub fn children<'a>(&'a self, relation: RelationId, found: Found<'a>) -> impl Iterator<Item = (RelationId, Cow<'a, str>)> {
        let values = match found {
            Found::Row(values) => values,
            Found::Missing | Found::Failed(_) => &[],
        };
        self.relations.children(relation, values)
    }

    /// Calls `evict` with every lookup and key that a change has made stale; without a key, all keys of the lookup are stale.
    pub fn stale(&self, change: &Change<'_>, mut evict: impl FnMut(LookupId, Option<&str>)) {
        let Some(watch) = self.watches.get(change.source).filter(|watch| !watch.read_by.is_empty()) else {
            return;
        };
        let versions: Vec<Columns<'_>> = [change.old, change.new]
            .into_iter()
            .flatten()
            .flat_map(Columns::parse)
            .collect();
        for (lookup, column) in &watch.read_by {
            let of_version = |version: &Columns<'_>| {
                column
                    .as_ref()
                    .and_then(|column| version.get(column))
                    .and_then(plain)
                    .map(Cow::into_owned)
            };
            let keys: Vec<String> = versions.iter().filter_map(of_version).collect();
            if keys.is_empty() {
                evict(*lookup, None);
            }
            for key in keys {
                evict(*lookup, Some(&key));
            }
        }
    }
}

/// Returns the lookups that read the table of `watch`, with the column of their key if it is captured.
pub(super) fn read_by(watch: &Watch, lookups: &[Lookup]) -> Vec<(LookupId, Option<String>)> {
    let reads = |lookup: &(usize, &Lookup)| (&lookup.1.schema, &lookup.1.table) == (&watch.schema, &watch.table);
    let key = |lookup: &Lookup| watch.key.iter().chain(&watch.columns).find(|column| **column == lookup.key);
    let own = lookups.iter().enumerate().filter(reads);
    own.map(|(index, lookup)| (LookupId(index), key(lookup).map(|key| key.name.clone())))
        .collect()
}
