//! The cache of rows.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::value::RawValue;

use crate::mapping::{Found, LookupId, RelatedRows};
use crate::outbox::LookedUp;

/// The bytes of all rows above which they are evicted together. Rows that are still needed are read again with one query per batch.
const LIMIT: usize = 32 << 20;
/// The bytes that a row costs in addition to its key and values.
const OVERHEAD: usize = 128;
/// The bytes that a value costs in addition to its text.
const VALUE: usize = 16;

/// Rows by lookup and key.
#[derive(Debug)]
pub(super) struct Cache {
    ttl: Duration,
    lookups: Vec<CachedLookup>,
    bytes: usize,
}

/// The cached rows of one lookup.
#[derive(Debug, Default)]
struct CachedLookup {
    rows: HashMap<Arc<str>, Row>,
    /// Why it failed in this batch, if it did.
    refused: Option<String>,
}

#[derive(Debug)]
struct Row {
    /// `None` if there is no such row.
    values: Option<Box<[Box<RawValue>]>>,
    /// When it must be read again.
    until: Instant,
    bytes: usize,
}

impl Cache {
    pub(super) const fn new(ttl: Duration) -> Self {
        Self {
            ttl,
            lookups: Vec::new(),
            bytes: 0,
        }
    }

    /// Evicts everything; from now on there are `lookups` lookups.
    pub(super) fn clear(&mut self, lookups: usize) {
        self.lookups.clear();
        self.lookups.resize_with(lookups, CachedLookup::default);
        self.bytes = 0;
    }

    /// The bytes of all rows.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Begins a batch: lookups that were refused may be retried, and a cache above its limit is cleared.
    pub(super) fn begin(&mut self) {
        for lookup in &mut self.lookups {
            lookup.refused = None;
        }
        if self.bytes > LIMIT {
            self.clear(self.lookups.len());
        }
    }

    /// Evicts a row, or all rows of a lookup.
    pub(super) fn evict(&mut self, lookup: LookupId, key: Option<&str>) {
        let rows = &mut self.lookups[lookup.0].rows;
        match key {
            Some(key) => self.bytes -= rows.remove(key).map_or(0, |row| row.bytes),
            None => self.bytes -= rows.drain().map(|(_, row)| row.bytes).sum::<usize>(),
        }
    }

    /// Whether a row need not be read at `now`.
    pub(super) fn has(&self, lookup: LookupId, key: &str, now: Instant) -> bool {
        let lookup = &self.lookups[lookup.0];
        lookup.refused.is_some() || lookup.rows.get(key).is_some_and(|row| row.until > now)
    }

    /// Inserts the rows found for `keys`. The absence of a row is cached for this batch only: it may appear at any time.
    pub(super) fn fill(&mut self, lookup: LookupId, keys: Vec<Arc<str>>, found: Vec<LookedUp>) {
        let now = Instant::now();
        for key in keys {
            self.insert(lookup, key, None, now);
        }
        for (key, values) in found {
            self.insert(lookup, key, Some(values), now + self.ttl);
        }
    }

    /// Counts every row of a lookup as failed in this batch.
    pub(super) fn refused(&mut self, lookup: LookupId, reason: String) {
        self.evict(lookup, None);
        self.lookups[lookup.0].refused = Some(reason);
    }

    fn insert(&mut self, lookup: LookupId, key: Arc<str>, values: Option<Box<[Box<RawValue>]>>, until: Instant) {
        let size = values.iter().flatten().map(|value| value.get().len() + VALUE).sum::<usize>();
        let bytes = OVERHEAD + key.len() + size;
        let row = Row { values, until, bytes };
        self.bytes += bytes;
        self.bytes -= self.lookups[lookup.0].rows.insert(key, row).map_or(0, |row| row.bytes);
    }
}

impl RelatedRows for Cache {
    fn row(&self, lookup: LookupId, key: &str) -> Found<'_> {
        let Some(known) = self.lookups.get(lookup.0) else {
            return Found::Missing;
        };
        match (known.rows.get(key), &known.refused) {
            (
                Some(Row {
                    values: Some(values), ..
                }),
                _,
            ) => Found::Row(values),
            (_, Some(reason)) => Found::Failed(reason),
            _ => Found::Missing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(key: &str, value: &str) -> LookedUp {
        let value = RawValue::from_string(format!("\"{value}\"")).unwrap();
        (key.into(), Box::new([value]))
    }

    fn cache(ttl: Duration) -> Cache {
        let mut cache = Cache::new(ttl);
        cache.clear(2);
        cache
    }

    fn found(cache: &Cache, key: &str) -> Option<String> {
        match cache.row(LookupId(0), key) {
            Found::Row(values) => Some(values[0].get().to_owned()),
            Found::Missing => None,
            Found::Failed(reason) => Some(reason.to_owned()),
        }
    }

    #[test]
    fn a_row_is_cached_for_its_ttl_and_its_absence_for_a_batch() {
        let mut cache = cache(Duration::from_mins(1));
        let now = Instant::now();
        cache.fill(LookupId(0), vec!["1".into(), "2".into()], vec![row("1", "Ada")]);
        assert_eq!((found(&cache, "1"), found(&cache, "2")), (Some("\"Ada\"".to_owned()), None));
        assert!(cache.has(LookupId(0), "1", now) && !cache.has(LookupId(0), "1", now + Duration::from_mins(2)));
        assert!(!cache.has(LookupId(0), "2", Instant::now()) && !cache.has(LookupId(1), "1", now));
        cache.evict(LookupId(0), Some("1"));
        assert!(!cache.has(LookupId(0), "1", now));
    }

    #[test]
    fn a_refusal_holds_for_a_batch() {
        let mut cache = cache(Duration::from_mins(1));
        cache.fill(LookupId(0), vec!["1".into()], vec![row("1", "Ada")]);
        cache.refused(LookupId(0), "denied".to_owned());
        assert_eq!(found(&cache, "1"), Some("denied".to_owned()));
        assert!(
            cache.has(LookupId(0), "1", Instant::now()),
            "it is not asked again in the same batch"
        );
        cache.begin();
        assert!(!cache.has(LookupId(0), "1", Instant::now()));
    }

    #[test]
    fn the_cache_is_bounded_and_counted_whatever_comes_and_goes() {
        let mut cache = cache(Duration::from_mins(1));
        let long = "x".repeat(10_000);
        for batch in 0..100 {
            cache.begin();
            assert!(cache.bytes() <= LIMIT);
            let keys: Vec<Arc<str>> = (0..100).map(|key| format!("{batch}-{key}").into()).collect();
            let rows = keys.iter().map(|key| row(key, &long)).collect();
            cache.fill(LookupId(0), keys, rows);
            cache.evict(LookupId(0), Some(&format!("{batch}-0")));
        }
        assert!(cache.bytes() > 0 && cache.bytes() <= LIMIT + 100 * 11_000);
        cache.fill(LookupId(1), vec!["1".into()], vec![row("1", "Ada")]);
        cache.fill(LookupId(1), vec!["1".into()], Vec::new());
        cache.evict(LookupId(1), None);
        cache.evict(LookupId(0), None);
        assert_eq!(cache.bytes(), 0);
    }
}
