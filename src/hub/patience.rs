//! How much all publications together may wait for slow clients: whoever opens connections and reads little must not slow down what
//! the others hear.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What may be waited in a row.
const MOST: Duration = Duration::from_secs(1);
/// What is waited comes back in this many times as long.
const BACK: u32 = 10;

/// What is left of it: when all of it is back.
#[derive(Debug)]
pub(super) struct Patience(Mutex<Instant>);

impl Patience {
    pub(super) fn new(now: Instant) -> Self {
        Self(Mutex::new(now))
    }

    /// Whether another client may be waited for at `now`.
    pub(super) fn is_left(&self, now: Instant) -> bool {
        self.back().saturating_duration_since(now) < MOST * BACK
    }

    /// A slow client was waited for, for this long until `now`.
    pub(super) fn lose(&self, waited: Duration, now: Instant) {
        let mut back = self.back();
        *back = (*back).max(now) + waited * BACK;
    }

    fn back(&self) -> MutexGuard<'_, Instant> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_lost_by_waiting_and_comes_back_with_time() {
        let now = Instant::now();
        let patience = Patience::new(now);
        for _ in 0..10 {
            assert!(patience.is_left(now));
            patience.lose(MOST / 10, now);
        }
        assert!(!patience.is_left(now));
        let later = now + MOST;
        assert!(patience.is_left(later));
        patience.lose(MOST / 10, later);
        assert!(!patience.is_left(later));
        assert!(patience.is_left(now + MOST * BACK));
    }
}
