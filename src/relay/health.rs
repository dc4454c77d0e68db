//! The current state of a relay, for health checks.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

/// The value that means no change.
const NONE: i64 = i64::MAX;

/// The role of a relay towards its database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It has just started.
    Starting,
    /// Another relay leads, and this one takes over when that one ends.
    Standby,
    /// It publishes.
    Leading,
    /// It has lost PostgreSQL and is reconnecting.
    Reconnecting,
}

impl Role {
    /// Whether it is connected and works as intended.
    #[must_use]
    pub const fn is_settled(self) -> bool {
        matches!(self, Self::Standby | Self::Leading)
    }

    /// The name in logs and responses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Standby => "standby",
            Self::Leading => "leading",
            Self::Reconnecting => "reconnecting",
        }
    }
}

/// The role, and the oldest change that is not settled.
#[derive(Debug)]
pub struct Health {
    role: watch::Sender<Role>,
    /// When that change was written, in microseconds since the Unix epoch.
    oldest: AtomicI64,
    /// The same for the oldest change that was read and not mapped yet.
    read: AtomicI64,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            role: watch::Sender::new(Role::Starting),
            oldest: AtomicI64::new(NONE),
            read: AtomicI64::new(NONE),
        }
    }
}

impl Health {
    /// The role.
    #[must_use]
    pub fn role(&self) -> Role {
        *self.role.borrow()
    }

    /// A receiver of the role and its changes.
    #[must_use]
    pub fn roles(&self) -> watch::Receiver<Role> {
        self.role.subscribe()
    }

    /// The age of the oldest change that was read and is not settled; zero if there is none.
    #[must_use]
    pub fn lag(&self) -> Duration {
        let oldest = self.oldest.load(Ordering::Relaxed).min(self.read.load(Ordering::Relaxed));
        let age = Timestamp::now().as_microsecond().saturating_sub(oldest);
        Duration::from_micros(u64::try_from(age).unwrap_or_default())
    }

    pub(super) fn becomes(&self, role: Role) {
        if role != Role::Leading {
            self.unsettled(None);
            self.reading(None);
        }
        self.role.send_replace(role);
    }

    /// Records when the oldest change that is about to be mapped was written.
    pub(super) fn reading(&self, since: Option<Timestamp>) {
        self.read
            .store(since.map_or(NONE, Timestamp::as_microsecond), Ordering::Relaxed);
    }

    /// Records when the oldest change in flight was written.
    pub(super) fn unsettled(&self, since: Option<Timestamp>) {
        let since = since.map_or(NONE, Timestamp::as_microsecond);
        self.oldest.store(since, Ordering::Relaxed);
    }
}
