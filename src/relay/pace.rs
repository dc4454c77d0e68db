//! When to read again: a balance between the cost of reads to the writers and the time that an event waits.

use std::time::Duration;

/// The shortest pause while events are dense but few: a commit waits for half of it on average.
const QUICK: Duration = Duration::from_micros(300);
/// The pause under load, where each read costs the writers more than the trigger does.
const SPACED: Duration = Duration::from_millis(8);
/// The rate, in changes per second, above which there is load.
const LOAD: f64 = 4_000.0;
/// Below that, the reads between two windows with changes: with more, more find nothing; with fewer, a commit waits longer.
const READS: u32 = 8;
/// Commits that notify are flushed one after the other. Events are dense if that would take more than one part in this many of the
/// time …
const MAX_NOTIFY_SHARE: u32 = 3;
/// … but always if they are closer together than this …
const ALWAYS_DENSE: Duration = Duration::from_micros(300);
/// … and never if they are further apart than this.
const NEVER_DENSE: Duration = Duration::from_millis(20);
/// The time from a notification to the read that it triggers; no commit queues for it.
const NOTIFY_DELAY: Duration = Duration::from_micros(200);
/// The assumed duration of a commit, until some have been measured.
const COMMIT: Duration = Duration::from_micros(1_250);
/// A commit that took longer than the estimate raises it by the difference divided by this.
const COMMIT_SMOOTHING: u32 = 32;
/// The approximate time over which the rate is measured.
const SPAN: Duration = Duration::from_millis(50);
/// A window counts for no more changes than this: one transaction may bring thousands, and a few commits after a stall are no load.
const MAX_COUNTED_CHANGES: f64 = 100.0;

/// What the relay does after a window that it has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Read again after this long.
    Read(Duration),
    /// Try to sleep until a commit notifies.
    Doze,
}

/// The pace, decided from when changes arrived.
#[derive(Debug)]
pub(super) struct Pace {
    /// When the last window with changes was read, as a time since the start.
    last: Option<Duration>,
    /// Whether the changes of the last window were close together and close to those before.
    dense: bool,
    /// The time between the last two windows with changes.
    gap: Duration,
    /// The changes of roughly the last [`SPAN`]: the older they are, the less they count.
    recent: f64,
    /// The estimated duration of a commit.
    commit: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            last: None,
            dense: false,
            gap: Duration::ZERO,
            recent: 0.0,
            commit: COMMIT,
        }
    }
}

impl Pace {
    /// Updates the estimated duration of a commit with `age`, the time from the write of a window's last change to its read. It spans the
    /// rest of the transaction, the flush, a synchronous standby's answer and the wait for the read; the shortest show a commit's duration.
    pub(super) fn learn(&mut self, age: Duration, was_notified: bool) {
        let age = if was_notified { age.saturating_sub(NOTIFY_DELAY) } else { age };
        self.commit = match age.checked_sub(self.commit) {
            Some(more) => self.commit + more / COMMIT_SMOOTHING,
            None => age,
        };
    }

    /// What to do after a window of `changes` read at `now`, a time since the start.
    pub(super) fn after(&mut self, changes: u64, now: Duration) -> Next {
        let since = self.last.map(|last| now.saturating_sub(last));
        let apart = (self.commit * MAX_NOTIFY_SHARE).clamp(ALWAYS_DENSE, NEVER_DENSE);
        if changes > 0 {
            let dense = apart * u32::try_from(changes).unwrap_or(u32::MAX);
            self.dense = since.is_some_and(|since| since < dense);
            let faded = since.map_or(0.0, |since| (-since.div_duration_f64(SPAN)).exp());
            #[expect(clippy::cast_precision_loss, reason = "no more than 52 bits of a count are needed")]
            let new = changes as f64;
            self.recent = self.recent * faded + new.min(MAX_COUNTED_CHANGES);
            self.gap = since.unwrap_or_default();
            self.last = Some(now);
        } else if since.is_none_or(|since| since >= apart) {
            self.dense = false;
        }
        match (self.dense, self.recent > LOAD * SPAN.as_secs_f64()) {
            (true, true) => Next::Read(SPACED),
            (true, false) => Next::Read((self.gap / READS).clamp(QUICK, SPACED)),
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
        assert_eq!(pace.after(1, ms(1)), Next::Read(QUICK));
        assert_eq!(pace.after(0, ms(4)), Next::Read(QUICK));
        assert_eq!(pace.after(0, ms(8)), Next::Doze);
    }

    #[test]
    fn under_load_the_reads_are_spaced() {
        let mut pace = Pace::default();
        for window in 1..20 {
            pace.after(80, ms(8 * window));
        }
        assert_eq!(pace.after(80, ms(160)), Next::Read(SPACED));
    }

    #[test]
    fn a_few_commits_at_once_are_no_load_nor_are_many_after_a_stall() {
        let mut pace = Pace::default();
        for window in 1..200 {
            pace.after(2, ms(window));
        }
        assert_eq!(pace.after(8, ms(200)), Next::Read(QUICK));
        assert_eq!(pace.after(40, Duration::from_micros(200_500)), Next::Read(QUICK));
    }

    #[test]
    fn load_is_detected_within_a_few_hundredths_of_a_second_however_small_its_windows_are() {
        let mut pace = Pace::default();
        let ten_thousand_a_second = (0..100).map(|window| pace.after(4, Duration::from_micros(400) * window));
        let quick = ten_thousand_a_second.filter(|next| *next != Next::Read(SPACED)).count();
        assert!(quick < 75, "{quick} reads, 0.4 ms each");
    }

    #[test]
    fn one_large_transaction_is_no_load() {
        let mut pace = Pace::default();
        pace.after(100_000, ms(0));
        assert_eq!(pace.after(1, ms(1)), Next::Read(QUICK));
    }

    #[test]
    fn commits_that_are_soon_flushed_may_notify_more_often() {
        let mut pace = Pace::default();
        pace.learn(Duration::from_micros(500), true);
        assert_eq!(pace.after(1, ms(0)), Next::Doze);
        assert_eq!(pace.after(1, ms(1)), Next::Doze);
        assert_eq!(pace.after(1, Duration::from_micros(1_800)), Next::Read(QUICK));
    }

    #[test]
    fn commits_that_take_long_are_soon_polled_for_and_the_reads_are_further_apart() {
        let mut pace = Pace::default();
        for _ in 0..200 {
            pace.learn(ms(10), false);
        }
        assert_eq!(pace.after(1, ms(0)), Next::Doze);
        assert_eq!(pace.after(1, ms(16)), Next::Read(ms(2)));
        assert_eq!(pace.after(0, ms(18)), Next::Read(ms(2)));
    }

    #[test]
    fn one_long_transaction_says_little_about_commits() {
        let mut pace = Pace::default();
        pace.learn(Duration::from_micros(300), false);
        pace.learn(ms(4), false);
        assert_eq!(pace.after(1, ms(0)), Next::Doze);
        assert_eq!(pace.after(1, ms(4)), Next::Doze);
    }
}
