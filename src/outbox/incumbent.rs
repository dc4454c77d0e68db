//! The current leader, as its standby sees it.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use tracing::warn;

use super::session::{Error, Session, in_time};
use super::sql;

/// A leader that answers no call for this long is hung or cut off; an answer is one trivial statement.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// The current leader, as a standby sees it. A process that hangs, or whose network is cut, keeps its connection for as long as the
/// kernels on both sides answer each other; so a standby calls, and ends the session that stays silent.
#[derive(Debug, Default)]
pub(super) struct Incumbent {
    /// Its server process, and when that was last active by the server's clock.
    seen: Option<(i32, Timestamp)>,
    /// Since when neither has changed.
    since: Option<Instant>,
}

impl Incumbent {
    /// Calls the leader; ends its session if it has been silent for too long.
    pub(super) async fn call(&mut self, session: &Session) -> Result<(), Error> {
        let seen = in_time(sql::standby::call(&session.client)).await?;
        if seen.is_none() || seen != self.seen {
            self.seen = seen;
            self.since = Some(Instant::now());
            return Ok(());
        }
        if let (Some((process, _)), Some(since)) = (seen, self.since)
            && since.elapsed() >= ANSWER_TIMEOUT
        {
            warn!(
                process,
                "the leader has not answered for {} s; its session is ended",
                ANSWER_TIMEOUT.as_secs()
            );
            in_time(sql::standby::end(&session.client, process)).await?;
            self.since = Some(Instant::now());
        }
        Ok(())
    }
}
