//! The rows of other tables that rules read: looked up for many changes together, and cached for a while.

mod cache;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use secrecy::SecretString;

use crate::change::Change;
use crate::mapping::{LookupId, Mapping, RelatedRows, RelationId};
use crate::outbox::{Answer, ChangeRow, Error, Feed, Lookups};
use cache::Cache;

/// The number of changes in the first batch: a query costs as much as some hundred rows, but their size is unknown before some were
/// read.
const FIRST_BATCH: usize = 64;
/// The maximum number of changes in a batch: a page of a large window.
const LARGEST_BATCH: usize = 2_000;
/// The bytes that a batch may look up before the next batches are made smaller.
const LOADED: usize = 4 << 20;
/// The bytes of changes at which a batch is full: they are held until they are mapped.
const BATCH_BYTES: usize = 1 << 20;

/// The keys under which rows of relations are needed.
type Keys = BTreeMap<RelationId, HashSet<Arc<str>>>;

/// Loads rows of other tables for the changes that are about to be mapped.
#[derive(Debug)]
pub struct RelatedLoader {
    database: SecretString,
    /// The rules that the session and the cache belong to.
    rules: Option<Arc<Mapping>>,
    lookups: Option<Lookups>,
    cache: Cache,
    /// The number of changes in a batch.
    batch: usize,
}

impl RelatedLoader {
    /// Creates a loader, which connects only once it is needed. A row is cached for `ttl`.
    #[must_use]
    pub fn new(database: SecretString, ttl: Duration) -> Self {
        Self {
            database,
            rules: None,
            lookups: None,
            cache: Cache::new(ttl),
            batch: FIRST_BATCH,
        }
    }

    /// Looks up what `rules` need to map `changes` and is not cached: one query per table, and again for each further relation of a path.
    /// A table that PostgreSQL refuses fails the rules that read it, and no others.
    ///
    /// # Errors
    /// When PostgreSQL does not answer.
    pub async fn prepare(&mut self, rules: &Arc<Mapping>, changes: &[Change<'_>]) -> Result<(), Error> {
        if rules.lookups().is_empty() {
            return Ok(());
        }
        if self.rules.as_ref().is_none_or(|known| !Arc::ptr_eq(known, rules)) {
            // Other rules may read other columns of the same tables.
            self.rules = Some(Arc::clone(rules));
            self.lookups = None;
            self.batch = FIRST_BATCH;
            self.cache.clear(rules.lookups().len());
        }
        self.cache.begin();
        let before = self.cache.bytes();
        // Before anything is looked up: the change of a row may come after the change that needs the row.
        for change in changes {
            rules.stale(change, |lookup, key| self.cache.evict(lookup, key));
        }
        let mut wanted = Keys::new();
        for change in changes {
            rules.roots(change, |relation, key| {
                let keys = wanted.entry(relation).or_default();
                if !keys.contains(key) {
                    keys.insert(key.into());
                }
            });
        }
        while !wanted.is_empty() {
            self.look_up(rules, &wanted).await?;
            let mut next = Keys::new();
            for (relation, keys) in &wanted {
                let lookup = rules.lookup_of(*relation);
                for key in keys {
                    for (child, key) in rules.children(*relation, self.cache.row(lookup, key)) {
                        next.entry(child).or_default().insert(key.as_ref().into());
                    }
                }
            }
            wanted = next;
        }
        if self.cache.bytes().saturating_sub(before) > LOADED {
            self.batch = (self.batch / 2).max(1);
        } else if changes.len() >= self.batch {
            self.batch = (self.batch * 4).min(LARGEST_BATCH);
        }
        Ok(())
    }

    /// The next batch of changes to be prepared, smaller if the rows that they lead to are large; and whether more may follow.
    ///
    /// # Errors
    /// When `feed` fails, or a row is not a change.
    pub async fn gather<F: Feed>(&self, feed: &mut F) -> Result<(Vec<ChangeRow>, bool), Error> {
        let (mut rows, mut bytes) = (Vec::new(), 0);
        while rows.len() < self.batch && bytes < BATCH_BYTES {
            let Some(row) = feed.next_row().await? else {
                return Ok((rows, false));
            };
            bytes += row.change()?.bytes();
            rows.push(row);
        }
        Ok((rows, true))
    }

    /// The rows that were prepared.
    #[must_use]
    pub fn rows(&self) -> &dyn RelatedRows {
        &self.cache
    }

    /// Reads the rows that are wanted and not cached, with one query per lookup.
    async fn look_up(&mut self, rules: &Mapping, wanted: &Keys) -> Result<(), Error> {
        let now = Instant::now();
        let mut missing: BTreeMap<LookupId, HashSet<Arc<str>>> = BTreeMap::new();
        for (relation, keys) in wanted {
            let lookup = rules.lookup_of(*relation);
            let unknown = keys.iter().filter(|key| !self.cache.has(lookup, key, now));
            missing.entry(lookup).or_default().extend(unknown.map(Arc::clone));
        }
        for (lookup, keys) in missing.into_iter().filter(|(_, keys)| !keys.is_empty()) {
            let session = match &mut self.lookups {
                Some(session) => session,
                none => none.insert(Lookups::connect(&self.database).await?),
            };
            let keys: Vec<Arc<str>> = keys.into_iter().collect();
            match session.read(lookup.0, rules.lookup(lookup), &keys).await? {
                Answer::Rows(rows) => self.cache.fill(lookup, keys, rows),
                Answer::Refused(reason) => self.cache.refused(lookup, reason),
            }
        }
        Ok(())
    }
}
