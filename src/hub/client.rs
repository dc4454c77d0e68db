//! A connection, as channels see it.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};

use super::json;
use super::queue::Queue;

/// A connection.
#[derive(Debug)]
pub(super) struct Client {
    /// Its identifier: a random UUID, which is not secret.
    pub(super) id: Arc<str>,
    pub(super) queue: Queue,
    identity: OnceLock<Identity>,
    channels: Mutex<HashMap<Arc<str>, Subscription>>,
}

#[derive(Debug)]
struct Identity {
    user: String,
    info: Bytes,
}

/// A client's subscription to a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Subscription {
    /// When its token expires, in Unix time.
    pub(super) expires: Option<u64>,
}

impl Client {
    pub(super) fn new(queue: usize) -> Self {
        Self {
            id: uuid().into(),
            queue: Queue::new(queue),
            identity: OnceLock::new(),
            channels: Mutex::default(),
        }
    }

    /// Sets the user. Only the first call counts.
    pub(super) fn identify(&self, user: String) {
        let info = json::object(|info| {
            info.text("user", &user);
            info.text("client", &self.id);
        });
        // A session calls this once.
        let _ = self.identity.set(Identity { user, info });
    }

    /// Returns the user's key; empty for an anonymous visitor.
    pub(super) fn user(&self) -> &str {
        self.identity.get().map_or("", |identity| &identity.user)
    }

    /// Returns the description that others receive: `{"user":…,"client":…}`.
    pub(super) fn info(&self) -> Bytes {
        self.identity
            .get()
            .map_or_else(|| Bytes::from_static(b"{}"), |identity| identity.info.clone())
    }

    pub(super) fn channels(&self) -> MutexGuard<'_, HashMap<Arc<str>, Subscription>> {
        self.channels.lock()
    }

    /// Returns whether it is subscribed to `channel`.
    pub(super) fn hears(&self, channel: &str) -> bool {
        self.channels().contains_key(channel)
    }
}

/// Returns a random UUID, version 4.
fn uuid() -> String {
    let number = fastrand::u128(..) & !(0xf << 76) & !(0b11 << 62) | 4 << 76 | 0b10 << 62;
    let digits = format!("{number:032x}");
    [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| &digits[part]).join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_identified_by_a_uuid() {
        let id = uuid();
        assert_eq!((id.len(), &id[14..15]), (36, "4"));
        assert!(matches!(&id[19..20], "8" | "9" | "a" | "b"), "{id}");
        assert_ne!(uuid(), id);
    }
}
