//! A channel: its subscribers and its history.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::client::Client;
use super::json::{self, Object};
use super::stream::Stream;

/// How long the numbering of a history outlives the history, so that a client that was disconnected meanwhile is not reported a gap
/// when there is none.
const NUMBERING_TTL: Duration = Duration::from_hours(1);

/// A channel with subscribers or a history.
#[derive(Debug, Default)]
pub(super) struct Channel {
    pub(super) stream: Option<Stream>,
    pub(super) subscribers: HashMap<Arc<str>, Subscriber>,
}

/// A subscribed client.
#[derive(Debug)]
pub(super) struct Subscriber {
    pub(super) client: Arc<Client>,
    /// Whether it is listed in the presence, and notified of those who join and leave.
    pub(super) is_present: bool,
}

impl Channel {
    /// Returns the history, which begins at the first call.
    pub(super) fn stream(&mut self, now: Instant) -> &mut Stream {
        self.stream.get_or_insert_with(|| Stream::new(now))
    }

    /// Sends a message to all subscribers; returns the one with the fullest queue.
    pub(super) fn send(&self, message: &Bytes) -> Option<Arc<Client>> {
        let mut fullest: Option<(usize, &Arc<Client>)> = None;
        for subscriber in self.subscribers.values() {
            let bytes = subscriber.client.queue.push(message.clone());
            if fullest.is_none_or(|(most, _)| bytes > most) {
                fullest = Some((bytes, &subscriber.client));
            }
        }
        fullest.map(|(_, client)| Arc::clone(client))
    }

    /// Notifies the listed clients that one joins (`join`) or leaves (`leave`).
    pub(super) fn notify_present(&self, name: &str, what: &str, client: &Client) {
        let message = push(name, |push| push.object(what, |event| event.raw("info", &client.info())));
        for subscriber in self.subscribers.values().filter(|subscriber| subscriber.is_present) {
            subscriber.client.queue.push(message.clone());
        }
    }

    /// Iterates over the listed clients.
    pub(super) fn present(&self) -> impl Iterator<Item = &Arc<Client>> {
        let present = self.subscribers.values().filter(|subscriber| subscriber.is_present);
        present.map(|subscriber| &subscriber.client)
    }

    /// Drops expired publications; returns whether there are neither subscribers nor publications.
    pub(super) fn expire(&mut self, bytes: &AtomicUsize, now: Instant) -> bool {
        let is_empty = self.stream.as_mut().is_none_or(|stream| stream.expire(bytes, now));
        is_empty && self.subscribers.is_empty()
    }

    /// Ends the history, and subtracts its size from `bytes`.
    pub(super) fn drop_history(&mut self, bytes: &AtomicUsize) {
        if let Some(mut stream) = self.stream.take() {
            stream.clear(bytes);
        }
    }

    /// Returns whether the channel is no longer needed at `now`.
    pub(super) fn is_disposable(&self, now: Instant) -> bool {
        let is_numbered = |stream: &Stream| stream.until() + NUMBERING_TTL > now;
        self.subscribers.is_empty() && !self.stream.as_ref().is_some_and(is_numbered)
    }
}

/// Encodes a message that the server sends unasked.
pub(super) fn push(channel: &str, write: impl FnOnce(&mut Object<'_>)) -> Bytes {
    json::object(|message| {
        message.object("push", |push| {
            push.text("channel", channel);
            write(push);
        });
    })
}
