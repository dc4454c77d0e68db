//! The idempotency keys of the last minutes, so that what is sent again is heard once.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

/// How long a key counts, as in Centrifugo.
const TTL: Duration = Duration::from_mins(5);
/// Keys that are remembered: more than the relay ever has on its way, and some megabytes.
const LARGEST: usize = 128 * 1024;

/// The keys that were seen, each by its hash: 128 bits, with a secret of this process.
#[derive(Debug, Default)]
pub(super) struct Window {
    hashers: [RandomState; 2],
    seen: HashMap<u128, u64>,
    order: VecDeque<(Instant, u128)>,
}

impl Window {
    /// The hash of a channel's key.
    pub(super) fn hash(&self, channel: &str, key: &[u8]) -> u128 {
        let [first, second] = self.hashers.each_ref().map(|state| state.hash_one((channel, key)));
        u128::from(first) << 64 | u128::from(second)
    }

    /// The offset that the publication of this key was given, 0 without a history; none: it was not seen.
    pub(super) fn find(&mut self, hash: u128, now: Instant) -> Option<u64> {
        while self
            .order
            .front()
            .is_some_and(|(at, _)| now.saturating_duration_since(*at) > TTL)
        {
            self.forget();
        }
        self.seen.get(&hash).copied()
    }

    /// Remembers a key.
    pub(super) fn insert(&mut self, hash: u128, offset: u64, now: Instant) {
        if self.order.len() >= LARGEST {
            self.forget();
        }
        if self.seen.insert(hash, offset).is_none() {
            self.order.push_back((now, hash));
        }
    }

    fn forget(&mut self) {
        if let Some((_, hash)) = self.order.pop_front() {
            self.seen.remove(&hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_counts_in_its_channel_for_its_time_and_memory_is_bounded() {
        let (mut window, now) = (Window::default(), Instant::now());
        let hash = window.hash("a", b"1");
        window.insert(hash, 7, now);
        assert_eq!(window.find(hash, now + TTL), Some(7));
        assert_ne!(window.hash("b", b"1"), hash);
        assert_ne!(window.hash("a", b"2"), hash);
        assert_eq!(window.find(hash, now + TTL + Duration::from_secs(1)), None);
        for number in 0..2 * LARGEST {
            let hash = window.hash("a", &number.to_be_bytes());
            window.insert(hash, 7, now);
        }
        assert_eq!(window.seen.len(), LARGEST);
        let hash = window.hash("a", &(2 * LARGEST - 1).to_be_bytes());
        assert_eq!(window.find(hash, now), Some(7));
    }
}
