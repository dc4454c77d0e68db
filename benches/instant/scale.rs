//! The sizes of the measurements.

use std::time::Duration;

/// The sizes of a run.
#[derive(Debug)]
pub(crate) struct Scale {
    /// How many turns each contestant has.
    pub(crate) rounds: usize,
    /// The number of changes of a backlog.
    pub(crate) backlog: u64,
    /// The backlogs whose times are compared.
    pub(crate) growth: &'static [u64],
    /// The number of changes of a backlog for comparing two kinds of rules.
    pub(crate) compared: u64,
    /// How long writers write in a turn, and how many turns each has.
    pub(crate) writing: (Duration, usize),
    /// Commits per second, and for how long.
    pub(crate) rates: &'static [(u32, Duration)],
    /// The number of rows of one statement.
    pub(crate) bulk: u64,
    /// How long an idle relay is observed.
    pub(crate) idle: Duration,
    /// The number of purged changes that could not be cleaned up, and of those that are drained next to them.
    pub(crate) dead: u64,
    pub(crate) held: u64,
    /// The number of watched tables.
    pub(crate) tables: usize,
    /// The number of deliveries to the subscribers of one channel, of which some have their latency measured.
    pub(crate) deliveries: usize,
}

impl Scale {
    /// The run that the page reports.
    pub(crate) const FULL: Self = Self {
        rounds: 3,
        backlog: 500_000,
        growth: &[10_000, 100_000, 1_000_000, 5_000_000],
        compared: 200_000,
        writing: (Duration::from_millis(500), 20),
        rates: &[
            (10, Duration::from_secs(4)),
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

    /// A run within three minutes.
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

/// The number of turns, as a sentence for the page.
pub(crate) fn told(rounds: usize) -> String {
    format!("{rounds} rounds, each begun by a different contestant.")
}

/// The indices of this many contestants in the order of their turns, which differs in each round.
pub(crate) fn turns(contestants: usize, round: usize) -> impl Iterator<Item = usize> {
    (0..contestants).map(move |turn| (turn + round) % contestants)
}
