//! The history of a channel: its last publications, numbered without gaps.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Deserialize;

/// The most publications that a client recovers, as in Centrifugo; a client that missed more has a gap.
pub(super) const MAX_RECOVERED: usize = 300;
/// The number of letters in an epoch.
const EPOCH_LENGTH: usize = 8;

/// A position in a channel's history.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Position {
    /// The number of the last publication, 0 before the first.
    pub offset: u64,
    /// The history that the number belongs to. A restart begins another.
    pub epoch: String,
}

/// The history of a channel.
#[derive(Debug)]
pub(super) struct Stream {
    epoch: String,
    top: u64,
    /// The last publications, encoded, the newest with the offset `top`.
    kept: VecDeque<Bytes>,
    /// When all kept publications expire.
    until: Instant,
}

/// The bounds of a history.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds<'a> {
    pub(super) size: usize,
    pub(super) ttl: Duration,
    /// The current size of all histories of the hub together, in bytes.
    pub(super) bytes: &'a AtomicUsize,
    /// The most bytes in all histories together.
    pub(super) limit: usize,
}

/// A part of a history.
#[derive(Clone, Debug, Default)]
pub struct Range {
    /// The position after which it begins, or before which in reverse; `None` for the first, or the last in reverse.
    pub since: Option<Position>,
    /// The most publications; `None` for all.
    pub limit: Option<usize>,
    /// Whether the newest come first.
    pub reverse: bool,
}

impl Stream {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            epoch: (0..EPOCH_LENGTH).map(|_| fastrand::alphabetic()).collect(),
            top: 0,
            kept: VecDeque::new(),
            until: now,
        }
    }

    /// Returns the offset of the next publication.
    pub(super) const fn next(&self) -> u64 {
        self.top + 1
    }

    /// Appends the publication with the offset [`Stream::next`]. If all histories together are too large, this one evicts its oldest.
    pub(super) fn push(&mut self, publication: Bytes, bounds: &Bounds<'_>, now: Instant) {
        self.top += 1;
        self.until = now + bounds.ttl;
        bounds.bytes.fetch_add(publication.len(), Ordering::Relaxed);
        self.kept.push_back(publication);
        while self.kept.len() > bounds.size || bounds.bytes.load(Ordering::Relaxed) > bounds.limit {
            let Some(oldest) = self.kept.pop_front() else { break };
            bounds.bytes.fetch_sub(oldest.len(), Ordering::Relaxed);
        }
    }

    /// Drops expired publications; returns whether none are kept.
    pub(super) fn expire(&mut self, bytes: &AtomicUsize, now: Instant) -> bool {
        if self.until <= now {
            self.clear(bytes);
        }
        self.kept.is_empty()
    }

    /// Drops all publications.
    pub(super) fn clear(&mut self, bytes: &AtomicUsize) {
        let size = self.kept.iter().map(Bytes::len).sum();
        bytes.fetch_sub(size, Ordering::Relaxed);
        self.kept = VecDeque::new();
    }

    /// Returns when the publications expire, or did.
    pub(super) const fn until(&self) -> Instant {
        self.until
    }

    pub(super) fn position(&self) -> Position {
        Position {
            offset: self.top,
            epoch: self.epoch.clone(),
        }
    }

    /// Returns the publications that a client has missed since this position; `None` if there is a gap, or the history is a different
    /// one. An empty epoch is that of a client that has not received anything yet.
    pub(super) fn missed(&self, offset: u64, epoch: &str) -> Option<Vec<Bytes>> {
        if !epoch.is_empty() && epoch != self.epoch {
            return None;
        }
        let missed = usize::try_from(self.top.checked_sub(offset)?).ok()?;
        if missed > self.kept.len() || missed > MAX_RECOVERED {
            return None;
        }
        Some(self.kept.range(self.kept.len() - missed..).cloned().collect())
    }

    /// Returns a part of the history; `None` if the position belongs to another one.
    pub(super) fn range(&self, range: &Range) -> Option<Vec<Bytes>> {
        let limit = range.limit.unwrap_or(usize::MAX);
        let first = self.next() - self.kept.len() as u64;
        let index = |offset: u64| usize::try_from(offset.saturating_sub(first)).unwrap_or(usize::MAX);
        let Some(since) = &range.since else {
            return Some(if range.reverse {
                self.kept.iter().rev().take(limit).cloned().collect()
            } else {
                self.kept.iter().take(limit).cloned().collect()
            });
        };
        if !since.epoch.is_empty() && since.epoch != self.epoch {
            return None;
        }
        Some(if range.reverse {
            let end = index(since.offset).min(self.kept.len());
            // There is nothing before an offset that is no longer kept, nor before one that never existed.
            let end = if since.offset > self.next() { 0 } else { end };
            self.kept.range(..end).rev().take(limit).cloned().collect()
        } else {
            let start = index(since.offset.saturating_add(1)).min(self.kept.len());
            self.kept.range(start..).take(limit).cloned().collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filled(count: u64, size: usize, limit: usize) -> (Stream, AtomicUsize) {
        let (now, bytes) = (Instant::now(), AtomicUsize::new(0));
        let mut stream = Stream::new(now);
        let bounds = Bounds {
            size,
            ttl: Duration::from_mins(1),
            bytes: &bytes,
            limit,
        };
        for _ in 0..count {
            let publication = stream.next().to_string().into();
            stream.push(publication, &bounds, now);
        }
        (stream, bytes)
    }

    fn numbers(publications: &[Bytes]) -> Vec<u64> {
        publications
            .iter()
            .map(|publication| std::str::from_utf8(publication).unwrap().parse().unwrap())
            .collect()
    }

    #[test]
    fn memory_is_counted_bounded_and_released() {
        let (mut stream, bytes) = filled(9, 5, usize::MAX);
        assert_eq!(bytes.load(Ordering::Relaxed), 5);
        assert!(stream.expire(&bytes, Instant::now() + Duration::from_secs(61)));
        assert_eq!(bytes.load(Ordering::Relaxed), 0);
        assert_eq!(stream.position().offset, 9);
        let (stream, bytes) = filled(9, 5, 2);
        assert_eq!(bytes.load(Ordering::Relaxed), 2);
        assert_eq!(numbers(&stream.missed(7, "").unwrap()), [8, 9]);
        assert_eq!(stream.missed(6, ""), None);
    }

    #[test]
    fn a_part_is_taken_from_either_end() {
        let (stream, _) = filled(9, 5, usize::MAX);
        let part = |offset: Option<u64>, limit, reverse| {
            let since = offset.map(|offset| Position {
                offset,
                ..stream.position()
            });
            numbers(&stream.range(&Range { since, limit, reverse }).unwrap())
        };
        assert_eq!(part(None, None, false), [5, 6, 7, 8, 9]);
        assert_eq!(part(None, Some(2), false), [5, 6]);
        assert_eq!(part(None, Some(2), true), [9, 8]);
        assert_eq!(part(Some(6), None, false), [7, 8, 9]);
        assert_eq!(part(Some(1), Some(1), false), [5]);
        assert_eq!(part(Some(9), None, false), [0; 0]);
        assert_eq!(part(Some(99), None, false), [0; 0]);
        assert_eq!(part(Some(8), Some(2), true), [7, 6]);
        assert_eq!(part(Some(10), Some(2), true), [9, 8]);
        assert_eq!(part(Some(5), None, true), [0; 0]);
        assert_eq!(part(Some(99), None, true), [0; 0]);
    }

    proptest! {
        #[test]
        fn a_client_recovers_exactly_what_it_has_missed_or_has_a_gap(count in 0..700_u64, size in 1..400_usize, offset in 0..800_u64) {
            let (stream, _) = filled(count, size, usize::MAX);
            let Position { epoch, .. } = stream.position();
            let kept = count.saturating_sub(size as u64);
            let missed = stream.missed(offset, &epoch);
            if offset > count || offset < kept || count - offset > MAX_RECOVERED as u64 {
                prop_assert_eq!(missed, None);
            } else {
                prop_assert_eq!(numbers(&missed.unwrap()), (offset + 1..=count).collect::<Vec<_>>());
            }
            prop_assert_eq!(stream.missed(offset, "another"), None);
        }
    }
}
