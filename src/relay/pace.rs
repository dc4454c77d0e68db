//! When to read again: how often a read costs the writers, and how long an event may wait.

use std::time::Duration;

/// The pace while events are dense but few. The runtime's clock ticks in milliseconds, so that it is one of them at most: a commit
/// waits for half of that on average.
const QUICK: Duration = Duration::from_micros(100);
/// The pace under load, where each read costs the writers more than the trigger does.
const STEADY: Duration = Duration::from_millis(8);
/// More changes a second than this are load.
const LOAD: f64 = 4_000.0;
/// Events nearer to each other than this are dense: dozing in between would make nearly every commit notify, and commits that
/// notify wait for each other. At 200 a second that is nothing yet, and a notification comes sooner than a read.
const DENSE: Duration = Duration::from_millis(5);
/// The windows that a rate is taken over, about: a few commits at once are no load yet.
const WINDOWS: f64 = 8.0;
/// No window is taken for shorter than this, or two events at once would be load.
const LEAST: Duration = Duration::from_millis(1);

/// What the relay does after a window that it has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Read again after this long.
    Read(Duration),
    /// Try to sleep until a commit notifies.
    Doze,
}

/// Decides from what came when.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When the last window with changes was read, since the start.
    last: Option<Duration>,
    /// Whether the changes of the last window lay near each other and to those before.
    dense: bool,
    /// Changes a second, over the last windows.
    rate: f64,
}

impl Pace {
    /// What follows a window of `changes` read at `now`, a time since the start.
    pub(super) fn after(&mut self, changes: u64, now: Duration) -> Next {
        let since = self.last.map(|last| now.saturating_sub(last));
        if changes > 0 {
            let dense = DENSE * u32::try_from(changes).unwrap_or(u32::MAX);
            self.dense = since.is_some_and(|since| since < dense);
            #[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 52 bits of a count")]
            let current = changes as f64 / since.unwrap_or(DENSE).max(LEAST).as_secs_f64();
            self.rate = if self.dense {
                self.rate + (current - self.rate) / WINDOWS
            } else {
                0.0
            };
            self.last = Some(now);
        } else if since.is_none_or(|since| since >= DENSE) {
            self.dense = false;
        }
        match (self.dense, self.rate > LOAD) {
            (true, true) => Next::Read(STEADY),
            (true, false) => Next::Read(QUICK),
            (false, _) => Next::Doze,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn rare_events_are_waited_for_in_a_doze() {
        let mut pace = Pace::default();
        assert_eq!(pace.after(1, ms(0)), Next::Doze);
        assert_eq!(pace.after(1, ms(10)), Next::Doze);
    }

    #[test]
    fn dense_events_are_read_quickly_and_the_doze_comes_when_they_end() {
        let mut pace = Pace::default();
        pace.after(1, ms(0));
        assert_eq!(pace.after(1, ms(2)), Next::Read(QUICK));
        assert_eq!(pace.after(0, ms(4)), Next::Read(QUICK));
        assert_eq!(pace.after(0, ms(8)), Next::Doze);
    }

    #[test]
    fn under_load_the_reads_are_spaced() {
        let mut pace = Pace::default();
        for window in 1..20 {
            pace.after(80, ms(8 * window));
        }
        assert_eq!(pace.after(80, ms(160)), Next::Read(STEADY));
    }
    #[test]
    fn a_few_commits_at_once_are_no_load() {
        let mut pace = Pace::default();
        for window in 1..20 {
            pace.after(2, ms(window));
        }
        assert_eq!(pace.after(8, ms(20)), Next::Read(QUICK));
    }
}
