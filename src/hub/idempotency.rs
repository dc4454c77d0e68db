//! The idempotency keys of the last minutes, with which a publication that is sent again is delivered once.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How long a key is kept, as in Centrifugo.
const TTL: Duration = Duration::from_mins(5);
/// The most keys that are kept: more than the relay ever has in flight, in some megabytes.
const MAX_KEYS: usize = 128 * 1024;

/// The keys that were seen, as hashes.
#[derive(Debug, Default)]
pub(super) struct SeenKeys {
    hashers: [RandomState; 2],
    recent: Mutex<Recent>,
}

/// The hash of a channel and its key: 128 bits, with a random seed of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct KeyHash(u128);

#[derive(Debug, Default)]
struct Recent {
    offsets: HashMap<KeyHash, u64>,
    order: VecDeque<(Instant, KeyHash)>,
}

impl SeenKeys {
    /// Returns the hash of a channel and its key.
    pub(super) fn hash(&self, channel: &str, key: &[u8]) -> KeyHash {
        let [first, second] = self.hashers.each_ref().map(|state| state.hash_one((channel, key)));
        KeyHash(u128::from(first) << 64 | u128::from(second))
    }

    /// Returns the offset of the publication with this key, 0 if it has none; `None` if the key was not seen.
    pub(super) fn find(&self, hash: KeyHash, now: Instant) -> Option<u64> {
        let mut recent = self.recent.lock();
        while recent
            .order
            .front()
            .is_some_and(|(at, _)| now.saturating_duration_since(*at) > TTL)
        {
            recent.evict_oldest();
        }
        recent.offsets.get(&hash).copied()
    }

    /// Adds a key.
    pub(super) fn insert(&self, hash: KeyHash, offset: u64, now: Instant) {
        let mut recent = self.recent.lock();
        if recent.order.len() >= MAX_KEYS {
            recent.evict_oldest();
        }
        if recent.offsets.insert(hash, offset).is_none() {
            recent.order.push_back((now, hash));
        }
    }
}

impl Recent {
    fn evict_oldest(&mut self) {
        if let Some((_, hash)) = self.order.pop_front() {
            self.offsets.remove(&hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_kept_per_channel_until_it_expires_and_memory_is_bounded() {
        let (keys, now) = (SeenKeys::default(), Instant::now());
        let hash = keys.hash("a", b"1");
        keys.insert(hash, 7, now);
        assert_eq!(keys.find(hash, now + TTL), Some(7));
        assert_ne!(keys.hash("b", b"1"), hash);
        assert_ne!(keys.hash("a", b"2"), hash);
        assert_eq!(keys.find(hash, now + TTL + Duration::from_secs(1)), None);
        for number in 0..2 * MAX_KEYS {
            let hash = keys.hash("a", &number.to_be_bytes());
            keys.insert(hash, 7, now);
        }
        assert_eq!(keys.recent.lock().offsets.len(), MAX_KEYS);
        let hash = keys.hash("a", &(2 * MAX_KEYS - 1).to_be_bytes());
        assert_eq!(keys.find(hash, now), Some(7));
    }
}
