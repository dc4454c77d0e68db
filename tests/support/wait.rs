//! Waiting for something to become true, with a deadline.

use std::time::{Duration, Instant};

/// Between two looks. Short, since tests wait often; long enough not to load the machine that is waited for.
const PAUSE: Duration = Duration::from_millis(10);

/// Long enough for anything that should happen at once, on a machine that runs many tests.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Asks again until there is an answer.
///
/// # Panics
/// At the deadline, with `what` was waited for.
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
/// At the deadline, with `what` was waited for.
pub(crate) async fn within<T>(deadline: Duration, what: &str, future: impl IntoFuture<Output = T>) -> T {
    tokio::time::timeout(deadline, future)
        .await
        .unwrap_or_else(|_| panic!("not within {deadline:?}: {what}"))
}
