//! The time for which all publications together may wait for slow clients: a user who opens connections and reads little must not
//! delay the others.

use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

/// The full budget.
const MAX_WAIT: Duration = Duration::from_secs(1);
/// Spent time is refilled in this many times as long.
const REFILL_FACTOR: u32 = 10;

/// The budget, represented by the time at which it is full again.
#[derive(Debug)]
pub(super) struct WaitBudget(Mutex<Instant>);

impl WaitBudget {
    pub(super) fn new(now: Instant) -> Self {
        Self(Mutex::new(now))
    }

    /// Returns whether another client may be waited for at `now`.
    pub(super) fn has_some(&self, now: Instant) -> bool {
        self.full_at().saturating_duration_since(now) < MAX_WAIT * REFILL_FACTOR
    }

    /// Records that a slow client was waited for, for `waited` until `now`.
    pub(super) fn spend(&self, waited: Duration, now: Instant) {
        let mut full_at = self.full_at();
        *full_at = (*full_at).max(now) + waited * REFILL_FACTOR;
    }

    fn full_at(&self) -> MutexGuard<'_, Instant> {
        self.0.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_spends_it_and_time_refills_it() {
        let now = Instant::now();
        let budget = WaitBudget::new(now);
        for _ in 0..10 {
            assert!(budget.has_some(now));
            budget.spend(MAX_WAIT / 10, now);
        }
        assert!(!budget.has_some(now));
        let later = now + MAX_WAIT;
        assert!(budget.has_some(later));
        budget.spend(MAX_WAIT / 10, later);
        assert!(!budget.has_some(later));
        assert!(budget.has_some(now + MAX_WAIT * REFILL_FACTOR));
    }
}
