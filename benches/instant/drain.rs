//! A backlog is drained: how long that takes, and what it costs.

use std::time::{Duration, Instant};

use crate::contestant::Running;
use crate::ground::Ground;
use crate::meter;
use crate::support::process::Process;

/// A backlog that is not drained by then never is.
const DEADLINE: Duration = Duration::from_mins(5);
/// The shortest and the longest pause between two looks, since each costs the server: half of what is left to wait for, and a
/// quarter of what has passed, from which that is told.
const PAUSE: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(500));

/// What a drain has taken.
pub(crate) struct Drained {
    /// Publications a second, from the first ones that are seen: starting is measured elsewhere.
    pub(crate) rate: f64,
    /// The time of all of it: from the beginning, when nothing was read yet, until the last was published.
    pub(crate) whole: Duration,
    /// Processor time of the relay, PostgreSQL and the server.
    pub(crate) relay: Duration,
    pub(crate) postgres: Duration,
    pub(crate) server: Duration,
    /// The most memory that the relay has had, in bytes.
    pub(crate) memory: u64,
}

/// Waits until `changes` were published.
pub(crate) async fn drain(ground: &Ground, running: &Running, changes: u64) -> Drained {
    let postgres = meter::cpu_of(&ground.cluster);
    let called = Instant::now();
    let mut first = None;
    loop {
        let (published, now) = (running.published(ground).await, Instant::now());
        let (begun, at) = *first.get_or_insert((published, now));
        if published >= changes {
            let (relay, server) = running.cpu();
            #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
            return Drained {
                rate: (published - begun) as f64 / (now - at).as_secs_f64(),
                whole: now - called,
                relay,
                postgres: meter::cpu_of(&ground.cluster).saturating_sub(postgres),
                server,
                memory: running.instant.as_ref().map_or(0, Process::peak_memory),
            };
        }
        if published == 0 {
            first = None;
        }
        assert!(
            now < called + DEADLINE,
            "{published} of {changes} were published within {DEADLINE:?}"
        );
        #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
        let left = (changes - published) as f64 / (published - begun).max(1) as f64;
        let pause = (now - at).mul_f64((left / 2.0).min(0.25));
        tokio::time::sleep(pause.clamp(PAUSE.0, PAUSE.1)).await;
    }
}
