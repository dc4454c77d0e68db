//! Counts of lost changes, as windows bring them.

use super::position::{Snapshot, Transactions};

/// The lost changes, as counted at the time of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The all-time count.
    pub count: i64,
    /// Whether every transaction that may have lost some of them has ended. The sequence counts uncommitted losses too, so a client that
    /// reloads before that may find the old state.
    pub is_over: bool,
}

/// The outcome of counting a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// It is counted, and the next window brings it.
    Yes,
    /// This role may not count.
    Forbidden,
    /// The sequence is locked for now.
    Locked,
}

/// The losses known from one window to the next.
#[derive(Debug, Default)]
pub(super) struct Counter {
    lost: Option<Lost>,
    /// The transactions that lost something have smaller numbers than this.
    begun: u64,
}

impl Counter {
    /// Takes the count from a window whose snapshot is `until`; by then `ahead` transactions had numbers from its xmax on.
    pub(super) fn read(&mut self, count: i64, until: &Snapshot, ahead: i32) {
        let Some(Transactions { ended, begun }) = until.transactions(ahead) else {
            return;
        };
        if self.lost.is_none_or(|lost| lost.count != count) {
            self.begun = begun;
        }
        let is_over = ended >= self.begun;
        self.lost = Some(Lost { count, is_over });
    }

    /// The losses so far; `None` before the first window.
    pub(super) const fn lost(&self) -> Option<Lost> {
        self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_is_over_once_all_transactions_have_ended_that_had_begun_when_it_was_counted() {
        let mut counter = Counter::default();
        let mut read = |count, snapshot: &str, ahead| {
            counter.read(count, &Snapshot::new(snapshot).unwrap(), ahead);
            counter.lost().unwrap().is_over
        };
        assert!(read(0, "10:10:", 0));
        // 11 began after the snapshot, and may have lost it.
        assert!(!read(1, "10:11:10", 1));
        assert!(!read(1, "11:12:11", 0));
        assert!(read(1, "12:13:12", 0));
        assert!(read(1, "12:20:12", 5), "later ones have lost nothing");
        assert!(!read(2, "12:20:12", 0));
    }
}
