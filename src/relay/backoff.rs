//! Waits between attempts.

use std::time::Duration;

/// The first wait.
const FIRST: Duration = Duration::from_millis(100);
/// The longest wait: a server that comes back is noticed within seconds.
const LONGEST: Duration = Duration::from_secs(5);

/// A wait that doubles from attempt to attempt, with jitter so that lanes and relays do not retry in step.
#[derive(Debug)]
pub(super) struct Backoff {
    attempts: u32,
}

impl Backoff {
    pub(super) const fn new() -> Self {
        Self { attempts: 0 }
    }

    /// Starts again with the first wait.
    pub(super) const fn reset(&mut self) {
        self.attempts = 0;
    }

    /// The number of waits since the last reset.
    pub(super) const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The next wait: between half and the whole of the doubled one.
    pub(super) fn next(&mut self) -> Duration {
        let whole = FIRST.saturating_mul(1 << self.attempts.min(10)).min(LONGEST);
        self.attempts = self.attempts.saturating_add(1);
        whole.mul_f64(0.5 + fastrand::f64() / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_cap_and_begin_again_after_a_success() {
        let mut backoff = Backoff::new();
        for exponent in 0..40 {
            let whole = FIRST.saturating_mul(1 << exponent.min(10)).min(LONGEST);
            let wait = backoff.next();
            assert!(wait <= whole && wait >= whole / 2, "{wait:?} of {whole:?}");
        }
        backoff.reset();
        assert!(backoff.next() <= FIRST);
    }
}
