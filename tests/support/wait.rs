//! Waiting for something to become true, with a deadline.

use std::time::{Duration, Instant};

/// The interval between two checks: short, since tests wait often, but long enough not to load the machine.
const PAUSE: Duration = Duration::from_millis(10);

/// Long enough for anything that should happen immediately, on a machine that runs many tests.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Asks repeatedly until there is an answer.
///
/// # Panics
/// At the deadline, naming `what` was awaited.
pub(crate) async fn eventually<T>(deadline: Duration, what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + deadline;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < end, "not within {deadline:?}: {what}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Waits for a future.
///
/// # Panics
/// At the deadline, naming `what` was awaited.
pub(crate) async fn within<T>(deadline: Duration, what: &str, future: impl IntoFuture<Output = T>) -> T {
    tokio::time::timeout(deadline, future)
        .await
        .unwrap_or_else(|_| panic!("not within {deadline:?}: {what}"))
}
