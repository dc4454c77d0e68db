//! The faults, and their schedule.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// `kill -9` of one of the two relays.
    KillRelay(usize),
    /// SIGTERM to one of the two relays.
    StopRelay(usize),
    /// SIGSTOP, and SIGCONT when the round ends.
    FreezeRelay(usize),
    /// `kill -9` of Centrifugo.
    KillCentrifugo,
    /// Centrifugo answers with this status.
    CentrifugoAnswers(u16),
    /// Connections to Centrifugo are reset.
    CutCentrifugo,
    /// The network to Centrifugo drops everything.
    StallCentrifugo,
    /// Centrifugo executes requests, and its answers are lost.
    LoseReplies,
    /// The relays' connections to PostgreSQL are reset.
    CutPostgres,
    /// The network between the relays and PostgreSQL drops everything.
    StallPostgres,
    /// `pg_terminate_backend` of the relays.
    TerminateRelays,
    /// `pg_terminate_backend` of the writers.
    TerminateWriters,
    /// PostgreSQL is stopped as an operator would.
    RestartPostgres,
    /// PostgreSQL stops without a checkpoint, and recovers.
    CrashPostgres,
}

/// A fault, how long it lasts, and the quiet time after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Round {
    pub(super) fault: Fault,
    pub(super) lasts: Duration,
    pub(super) then: Duration,
}

impl Round {
    /// Whether it outlasts all of the relay's timeouts.
    pub(super) fn is_long(self) -> bool {
        self.lasts.as_millis() >= u128::from(LONG.start)
    }
}

impl fmt::Display for Round {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?} for {} ms", self.fault, self.lasts.as_millis())
    }
}

impl Fault {
    /// Whether something waits for its end: an instant fault has none, and nothing waits for a relay that is gone.
    const fn is_waited_for(self) -> bool {
        !matches!(
            self,
            Self::KillRelay(_) | Self::StopRelay(_) | Self::TerminateRelays | Self::TerminateWriters
        )
    }
}

/// Milliseconds of most faults.
const SHORT: Range<u64> = 20..1_500;
/// Milliseconds of a fault that outlasts all of the relay's timeouts, which are 15 s at most.
const LONG: Range<u64> = 16_000..20_000;

/// The rounds of a seed, with each fault once before any is repeated, and one of them long. Centrifugo is killed only if its broker keeps
/// publications.
pub(super) fn schedule(seed: u64, rounds: usize, kills_centrifugo: bool) -> Vec<Round> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut waiting = Vec::new();
    let mut long = None;
    (0..rounds)
        .map(|_| {
            if waiting.is_empty() {
                let relay = random.usize(..2);
                waiting = vec![
                    Fault::KillRelay(relay),
                    Fault::KillRelay(1 - relay),
                    Fault::StopRelay(relay),
                    Fault::FreezeRelay(1 - relay),
                    Fault::KillCentrifugo,
                    Fault::CentrifugoAnswers(if random.bool() { 500 } else { 429 }),
                    Fault::CutCentrifugo,
                    Fault::StallCentrifugo,
                    Fault::LoseReplies,
                    Fault::CutPostgres,
                    Fault::StallPostgres,
                    Fault::TerminateRelays,
                    Fault::TerminateWriters,
                    Fault::RestartPostgres,
                    Fault::CrashPostgres,
                ];
                waiting.retain(|fault| kills_centrifugo || *fault != Fault::KillCentrifugo);
                random.shuffle(&mut waiting);
                let waited_for: Vec<_> = waiting.iter().filter(|fault| fault.is_waited_for()).copied().collect();
                long = random.choice(waited_for);
            }
            let fault = waiting.pop().expect("there is one");
            let milliseconds = if long == Some(fault) { LONG } else { SHORT };
            Round {
                fault,
                lasts: Duration::from_millis(random.u64(milliseconds)),
                then: Duration::from_millis(random.u64(0..1_500)),
            }
        })
        .collect()
}

#[test]
fn a_seed_gives_the_same_faults_again_and_another_gives_others() {
    assert_eq!(schedule(7, 50, true), schedule(7, 50, true));
    assert_ne!(schedule(7, 50, true), schedule(8, 50, true));
}

#[test]
fn each_round_of_all_faults_has_one_that_outlasts_the_relays_patience() {
    for seed in 0..20 {
        let all = schedule(seed, 15, true);
        let long: Vec<_> = all.iter().filter(|round| round.is_long()).collect();
        assert!(
            matches!(long[..], [round] if round.fault.is_waited_for()),
            "seed {seed}: {long:?}"
        );
    }
}
