//! A backlog is drained: how long that takes, and what it costs.

use std::time::Duration;

use crate::contestant::Running;
use crate::figures::count;
use crate::ground::Ground;
use crate::meter;
use crate::support::process::Process;

/// A backlog that is not drained by then never is.
const DEADLINE: Duration = Duration::from_mins(5);
/// The shortest and the longest pause between two looks, since each costs the server: half of what is left to wait for, and a
/// quarter of what has passed, from which that is told.
const PAUSE: (Duration, Duration) = (Duration::from_millis(3), Duration::from_millis(500));

/// What a drain has taken.
pub(crate) struct Drained {
    /// Changes a second, from the moment at which the contestant was at work until the last was published.
    pub(crate) rate: f64,
    /// Processor time of the relay, PostgreSQL and the server.
    pub(crate) relay: Duration,
    pub(crate) postgres: Duration,
    pub(crate) server: Duration,
    /// The most memory that the relay has had, in bytes.
    pub(crate) memory: u64,
}

/// Waits until `changes` were published.
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
