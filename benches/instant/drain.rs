//! The draining of a backlog: its duration and cost.

use std::time::Duration;

use crate::contestant::Running;
use crate::figures::count;
use crate::ground::Ground;
use crate::meter;
use crate::support::process::Process;

/// A backlog that is not drained by then never will be.
const DEADLINE: Duration = Duration::from_mins(5);
/// The shortest and the longest pause between two checks, since each costs the server. A pause is half of the estimated remaining time,
/// and at most a quarter of the elapsed time, on which the estimate is based.
const PAUSE: (Duration, Duration) = (Duration::from_millis(3), Duration::from_millis(500));

/// The figures of a drain.
pub(crate) struct Drained {
    /// Changes per second, from when the contestant began to work until the last change was published.
    pub(crate) rate: f64,
    /// Processor time of the relay, PostgreSQL and the server.
    pub(crate) relay: Duration,
    pub(crate) postgres: Duration,
    pub(crate) server: Duration,
    /// The relay's peak memory, in bytes.
    pub(crate) memory: u64,
}

/// Waits until `changes` changes are published.
pub(crate) async fn drain(ground: &Ground, running: &Running, changes: u64) -> Drained {
    let (relay, server) = running.cpu();
    let postgres = meter::cpu_of(&ground.cluster);
    loop {
        let (published, taken) = (running.published(ground).await, running.since.elapsed());
        if published >= changes {
            let now = running.cpu();
            return Drained {
                rate: count(changes) / taken.as_secs_f64(),
                relay: now.0.saturating_sub(relay),
                postgres: meter::cpu_of(&ground.cluster).saturating_sub(postgres),
                server: now.1.saturating_sub(server),
                memory: running.instant.as_ref().map_or(0, Process::peak_memory),
            };
        }
        assert!(
            taken < DEADLINE,
            "{published} of {changes} were published within {DEADLINE:?}"
        );
        let left = count(changes - published) / count(published.max(1));
        let pause = taken.mul_f64((left / 2.0).min(0.25)).clamp(PAUSE.0, PAUSE.1);
        tokio::time::sleep(pause).await;
    }
}
