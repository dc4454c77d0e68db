//! How much all publications together may wait for clients in vain: whoever opens connections and reads nothing must not slow down
//! what the others hear.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Waits in vain that may come at once.
const MOST: u32 = 10;
/// After which another one may come. A wait is a tenth of it.
const EACH: Duration = Duration::from_secs(1);

/// What is left of it: when all of it is back.
#[derive(Debug)]
pub(super) struct Patience(Mutex<Instant>);

impl Patience {
    pub(super) fn new(now: Instant) -> Self {
        Self(Mutex::new(now))
    }

    /// Whether another client may be waited for at `now`.
    pub(super) fn is_left(&self, now: Instant) -> bool {
        self.back().saturating_duration_since(now) <= EACH * (MOST - 1)
    }

    /// A client was waited for in vain until `now`.
    pub(super) fn lose(&self, now: Instant) {
        let mut back = self.back();
        *back = (*back).max(now) + EACH;
    }

    fn back(&self) -> std::sync::MutexGuard<'_, Instant> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_lost_by_waiting_in_vain_and_comes_back_with_time() {
        let now = Instant::now();
        let patience = Patience::new(now);
        for _ in 0..MOST {
            assert!(patience.is_left(now));
            patience.lose(now);
        }
        assert!(!patience.is_left(now));
        assert!(!patience.is_left(now + EACH / 2));
        assert!(patience.is_left(now + EACH));
        patience.lose(now + EACH);
        assert!(!patience.is_left(now + EACH));
        assert!(patience.is_left(now + EACH * (MOST + 1)));
    }
}
