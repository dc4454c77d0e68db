//! One connection, as channels see it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;

use super::json;
use super::queue::Queue;

/// A connection.
#[derive(Debug)]
pub(super) struct Client {
    /// Its name: a random UUID, which is no secret.
    pub(super) id: Arc<str>,
    pub(super) queue: Queue,
    who: OnceLock<Who>,
    channels: Mutex<HashMap<Arc<str>, Subscription>>,
}

#[derive(Debug)]
struct Who {
    user: String,
    info: Bytes,
}

/// What a client has of a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Subscription {
    /// When its token ends, in seconds of the Unix epoch.
    pub(super) expires: Option<u64>,
}

impl Client {
    pub(super) fn new(queue: usize) -> Self {
        Self {
            id: uuid().into(),
            queue: Queue::new(queue),
            who: OnceLock::new(),
            channels: Mutex::default(),
        }
    }

    /// Says who it is. The first word counts.
    pub(super) fn identify(&self, user: String) {
        let info = json::object(|info| {
            info.text("user", &user);
            info.text("client", &self.id);
        });
        // A session asks once.
        let _ = self.who.set(Who { user, info });
    }

    /// The user's key; empty for a visitor.
    pub(super) fn user(&self) -> &str {
        self.who.get().map_or("", |who| &who.user)
    }

    /// It, as others are told of it: `{"user":…,"client":…}`.
    pub(super) fn info(&self) -> Bytes {
        self.who
            .get()
            .map_or_else(|| Bytes::from_static(b"{}"), |who| who.info.clone())
    }

    pub(super) fn channels(&self) -> MutexGuard<'_, HashMap<Arc<str>, Subscription>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn hears(&self, channel: &str) -> bool {
        self.channels().contains_key(channel)
    }
}

/// A random UUID of version 4.
fn uuid() -> String {
    let number = fastrand::u128(..) & !(0xf << 76) & !(0b11 << 62) | 4 << 76 | 0b10 << 62;
    let digits = format!("{number:032x}");
    [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| &digits[part]).join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_a_uuid_for_its_name() {
        let id = uuid();
        assert_eq!((id.len(), &id[14..15]), (36, "4"));
        assert!(matches!(&id[19..20], "8" | "9" | "a" | "b"), "{id}");
        assert_ne!(uuid(), id);
    }
}
