//! How much is measured.

use std::time::Duration;

/// The sizes of a run.
#[derive(Debug)]
pub(crate) struct Scale {
    /// How often each contestant's turn comes.
    pub(crate) rounds: usize,
    /// The changes of a backlog.
    pub(crate) backlog: u64,
    /// The backlogs whose times are compared.
    pub(crate) growth: &'static [u64],
    /// The changes of a backlog where two kinds of rules are compared.
    pub(crate) compared: u64,
    /// How long writers write in a turn, and how often each has one.
    pub(crate) writing: (Duration, usize),
    /// Commits a second, and for how long.
    pub(crate) rates: &'static [(u32, Duration)],
    /// The rows of one statement.
    pub(crate) bulk: u64,
    /// How long an idle relay is watched.
    pub(crate) idle: Duration,
    /// The changes that were purged and could not be cleaned up, and those that are drained beside them.
    pub(crate) dead: u64,
    pub(crate) held: u64,
    /// Watched tables.
    pub(crate) tables: usize,
    /// Deliveries to the listeners of one channel, and to those whose latency is measured.
    pub(crate) deliveries: usize,
}

impl Scale {
    /// What the page says.
    pub(crate) const FULL: Self = Self {
        rounds: 3,
        backlog: 500_000,
        growth: &[10_000, 100_000, 1_000_000, 5_000_000],
        compared: 200_000,
        writing: (Duration::from_millis(500), 24),
        rates: &[
            (10, Duration::from_secs(5)),
            (100, Duration::from_secs(3)),
            (500, Duration::from_secs(2)),
            (2_000, Duration::from_secs(2)),
        ],
        bulk: 100_000,
        idle: Duration::from_mins(1),
        dead: 600_000,
        held: 1_000_000,
        tables: 500,
        deliveries: 1_000_000,
    };

    /// A look within three minutes.
    pub(crate) const QUICK: Self = Self {
        rounds: 1,
        backlog: 50_000,
        growth: &[10_000, 50_000],
        compared: 25_000,
        writing: (Duration::from_millis(500), 4),
        rates: &[(100, Duration::from_secs(1)), (2_000, Duration::from_secs(1))],
        bulk: 20_000,
        idle: Duration::from_secs(10),
        dead: 50_000,
        held: 50_000,
        tables: 50,
        deliveries: 100_000,
    };
}

/// How often everyone's turn comes, as the page says it.
pub(crate) fn told(rounds: usize) -> String {
    format!("{rounds} rounds, in each of which another begins.")
}

/// The places of so many contestants in the order in which their turns come, which is another in each round.
pub(crate) fn turns(contestants: usize, round: usize) -> impl Iterator<Item = usize> {
    (0..contestants).map(move |turn| (turn + round) % contestants)
}
