//! A channel: who listens, and what it keeps.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::client::Client;
use super::json::{self, Object};
use super::stream::Stream;

/// How long the numbering of a history is remembered after the history: a client that was away meanwhile is not told of a gap when
/// there is none.
const REMEMBERED: Duration = Duration::from_hours(1);

/// A channel that somebody listens to, or that keeps something.
#[derive(Debug, Default)]
pub(super) struct Channel {
    pub(super) stream: Option<Stream>,
    pub(super) listeners: HashMap<Arc<str>, Listener>,
}

/// A client that listens.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) client: Arc<Client>,
    /// It is listed, and told who comes and goes.
    pub(super) is_present: bool,
}

impl Channel {
    /// The history, which begins when it is first asked for.
    pub(super) fn stream(&mut self, now: Instant) -> &mut Stream {
        self.stream.get_or_insert_with(|| Stream::new(now))
    }

    /// Sends a message to all who listen; returns the fullest of their queues.
    pub(super) fn send(&self, message: &Bytes) -> Option<Arc<Client>> {
        let mut fullest: Option<(usize, &Arc<Client>)> = None;
        for listener in self.listeners.values() {
            let bytes = listener.client.queue.push(message.clone());
            if fullest.is_none_or(|(most, _)| bytes > most) {
                fullest = Some((bytes, &listener.client));
            }
        }
        fullest.map(|(_, client)| Arc::clone(client))
    }

    /// Tells those who are listed that somebody comes (`join`) or goes (`leave`).
    pub(super) fn tell(&self, name: &str, what: &str, client: &Client) {
        let message = push(name, |push| push.object(what, |event| event.raw("info", &client.info())));
        for listener in self.listeners.values().filter(|listener| listener.is_present) {
            listener.client.queue.push(message.clone());
        }
    }

    /// Who is listed.
    pub(super) fn present(&self) -> impl Iterator<Item = &Arc<Client>> {
        let present = self.listeners.values().filter(|listener| listener.is_present);
        present.map(|listener| &listener.client)
    }

    /// Drops what is too old; returns whether nobody listens and nothing is kept.
    pub(super) fn expire(&mut self, bytes: &AtomicUsize, now: Instant) -> bool {
        let is_empty = self.stream.as_mut().is_none_or(|stream| stream.expire(bytes, now));
        is_empty && self.listeners.is_empty()
    }

    /// Ends the history, and gives back its `bytes`.
    pub(super) fn forget(&mut self, bytes: &AtomicUsize) {
        if let Some(mut stream) = self.stream.take() {
            stream.clear(bytes);
        }
    }

    /// Whether it is of no use any more at `now`.
    pub(super) fn is_forgotten(&self, now: Instant) -> bool {
        let remembers = |stream: &Stream| stream.until() + REMEMBERED > now;
        self.listeners.is_empty() && !self.stream.as_ref().is_some_and(remembers)
    }
}

/// A message that the server sends by itself.
pub(super) fn push(channel: &str, write: impl FnOnce(&mut Object<'_>)) -> Bytes {
    json::object(|message| {
        message.object("push", |push| {
            push.text("channel", channel);
            write(push);
        });
    })
}
