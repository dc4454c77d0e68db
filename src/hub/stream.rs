//! The history of one channel: its last publications, numbered without a gap.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;

/// The publications that a client gets at once, as in Centrifugo; whoever has missed more is told of a gap.
const MOST: usize = 300;
/// The letters of an epoch.
const EPOCH: usize = 8;

/// A place in a channel's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The number of the last publication, 0 before the first.
    pub offset: u64,
    /// Which history the number belongs to. A restart begins another.
    pub epoch: String,
}

/// The history.
#[derive(Debug)]
pub(super) struct Stream {
    epoch: String,
    top: u64,
    /// The last publications, encoded, the newest with the offset `top`.
    kept: VecDeque<Bytes>,
    /// When all that is kept is dropped.
    until: Instant,
}

/// Bounds of what is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds<'a> {
    pub(super) size: usize,
    pub(super) ttl: Duration,
    /// The bytes that all histories of the hub hold, and may hold.
    pub(super) bytes: &'a AtomicUsize,
    pub(super) limit: usize,
}

/// Which part of a history.
#[derive(Clone, Debug, Default)]
pub struct Range {
    /// After this position, or before it in reverse; none: from the first, or the last.
    pub since: Option<Position>,
    /// How many; none: as many as there are.
    pub limit: Option<usize>,
    /// The newest first.
    pub reverse: bool,
}

impl Stream {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            epoch: (0..EPOCH).map(|_| fastrand::alphabetic()).collect(),
            top: 0,
            kept: VecDeque::new(),
            until: now,
        }
    }

    /// The offset of the publication that comes next.
    pub(super) const fn next(&self) -> u64 {
        self.top + 1
    }

    /// Takes the publication with the offset [`Stream::next`]. Where all histories together are too large, this one forgets.
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

    /// Drops what is too old; returns whether nothing is kept.
    pub(super) fn expire(&mut self, bytes: &AtomicUsize, now: Instant) -> bool {
        if self.until <= now {
            self.clear(bytes);
        }
        self.kept.is_empty()
    }

    /// Drops all that is kept.
    pub(super) fn clear(&mut self, bytes: &AtomicUsize) {
        let size = self.kept.iter().map(Bytes::len).sum();
        bytes.fetch_sub(size, Ordering::Relaxed);
        self.kept = VecDeque::new();
    }

    /// When what is kept is dropped, or was.
    pub(super) const fn until(&self) -> Instant {
        self.until
    }

    pub(super) fn position(&self) -> Position {
        Position {
            offset: self.top,
            epoch: self.epoch.clone(),
        }
    }

    /// What a client has missed that was last at this place; none: there is a gap, or the history is another. An empty epoch is
    /// that of a client that has seen nothing yet.
    pub(super) fn missed(&self, offset: u64, epoch: &str) -> Option<Vec<Bytes>> {
        if !epoch.is_empty() && epoch != self.epoch {
            return None;
        }
        let missed = usize::try_from(self.top.checked_sub(offset)?).ok()?;
        if missed > self.kept.len() || missed > MOST {
            return None;
        }
        Some(self.kept.range(self.kept.len() - missed..).cloned().collect())
    }

    /// A part of what is kept; none: the position is of another history.
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
            // What is not kept any more has nothing before it, nor has what was never there.
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
    fn memory_is_counted_bounded_and_given_back() {
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
        fn a_client_gets_exactly_what_it_has_missed_or_is_told_of_a_gap(count in 0..700_u64, size in 1..400_usize, offset in 0..800_u64) {
            let (stream, _) = filled(count, size, usize::MAX);
            let Position { epoch, .. } = stream.position();
            let kept = count.saturating_sub(size as u64);
            let missed = stream.missed(offset, &epoch);
            if offset > count || offset < kept || count - offset > MOST as u64 {
                prop_assert_eq!(missed, None);
            } else {
                prop_assert_eq!(numbers(&missed.unwrap()), (offset + 1..=count).collect::<Vec<_>>());
            }
            prop_assert_eq!(stream.missed(offset, "another"), None);
        }
    }
}
