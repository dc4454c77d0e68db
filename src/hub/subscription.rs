//! Subscriptions: how they begin, with recovery of missed publications, and how they end.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::channel::{Subscriber, push};
use super::client::{Client, Subscription};
use super::json::Object;
use super::namespaces::Options;
use super::stream::Position;
use super::{Hub, protocol, session};

/// A client's request to recover publications, from its last position.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default)]
pub(super) struct RecoveryRequest {
    pub(super) recover: bool,
    pub(super) epoch: String,
    pub(super) offset: u64,
}

/// The reply to a subscription.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Subscribed {
    /// How long its token lasts, in seconds.
    pub(super) ttl: Option<u64>,
    /// The current position, if the subscription can be recovered.
    pub(super) position: Option<Position>,
    /// The result of a recovery, if one was requested.
    pub(super) recovery: Option<Recovery>,
}

/// The result of a recovery.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Recovery {
    /// All publications that were missed since the requested offset.
    Recovered { since: u64, missed: Vec<Bytes> },
    /// There is a gap.
    Gap,
}

impl Subscribed {
    pub(super) fn write(&self, object: &mut Object<'_>) {
        if let Some(ttl) = self.ttl {
            object.flag("expires", true);
            object.number("ttl", ttl);
        }
        object.flag("was_recovering", self.recovery.is_some());
        let Some(position) = &self.position else { return };
        object.flag("recoverable", true);
        object.text("epoch", &position.epoch);
        object.flag("positioned", true);
        match &self.recovery {
            Some(Recovery::Recovered { since, missed }) => {
                if !missed.is_empty() {
                    object.list("publications", missed);
                }
                object.flag("recovered", true);
                // The publications take the client from this offset to the last one.
                object.number("offset", *since);
            }
            _ => object.number("offset", position.offset),
        }
    }
}

impl Hub {
    /// Subscribes a client, and replies to command `reply` before anything else is sent on the channel; without `reply`, the caller
    /// must send the reply. `None` if it is already subscribed.
    pub(super) fn subscribe(
        &self,
        client: &Arc<Client>,
        name: &str,
        options: Options,
        past: &RecoveryRequest,
        expires: Option<u64>,
        reply: Option<u32>,
    ) -> Option<Subscribed> {
        let now = Instant::now();
        let name: Arc<str> = name.into();
        let mut shard = self.shard(&name);
        let channel = shard.channel(Arc::clone(&name));
        {
            let mut channels = client.channels();
            if channels.contains_key(&name) {
                return None;
            }
            channels.insert(Arc::clone(&name), Subscription { expires });
        }
        let (position, recovery) = if options.recover && options.history.is_some() {
            let stream = channel.stream(now);
            stream.expire(&self.kept, now);
            let recovery = past.recover.then(|| match stream.missed(past.offset, &past.epoch) {
                Some(missed) => Recovery::Recovered {
                    since: past.offset,
                    missed,
                },
                None => Recovery::Gap,
            });
            (Some(stream.position()), recovery)
        } else {
            (None, past.recover.then_some(Recovery::Gap))
        };
        let subscribed = Subscribed {
            ttl: expires.map(|expires| expires.saturating_sub(session::now())),
            position,
            recovery,
        };
        if let Some(reply) = reply {
            let answer = protocol::reply(reply, "subscribe", |object| subscribed.write(object));
            client.queue.push(answer);
        }
        channel.subscribers.insert(
            Arc::clone(&client.id),
            Subscriber {
                client: Arc::clone(client),
                is_present: options.presence,
            },
        );
        if options.presence {
            channel.notify_present(&name, "join", client);
        }
        Some(subscribed)
    }

    /// Ends a client's subscription; returns whether it had one.
    pub(super) fn leave(&self, client: &Client, name: &str) -> bool {
        if client.channels().remove(name).is_none() {
            return false;
        }
        self.detach(client, name);
        true
    }

    /// Ends a client's subscription, and sends it the reason.
    pub(super) fn revoke(&self, client: &Client, name: &str, code: u64, reason: &str) {
        if self.leave(client, name) {
            let message = push(name, |push| {
                push.object("unsubscribe", |event| {
                    event.number("code", code);
                    event.text("reason", reason);
                });
            });
            client.queue.push(message);
        }
    }

    /// Removes a client that has disconnected, and its subscriptions.
    pub(super) fn remove(&self, client: &Client) {
        let channels = std::mem::take(&mut *client.channels());
        for name in channels.keys() {
            self.detach(client, name);
        }
        self.directory.remove(client);
    }

    /// Removes a client from a channel, and the channel if it is no longer needed.
    fn detach(&self, client: &Client, name: &str) {
        let mut shard = self.shard(name);
        let Some(channel) = shard.channels.get_mut(name) else { return };
        let subscriber = channel.subscribers.remove(&client.id);
        if subscriber.is_some_and(|subscriber| subscriber.is_present) {
            channel.notify_present(name, "leave", client);
        }
        if channel.subscribers.is_empty() && channel.stream.is_none() {
            shard.channels.remove(name);
        }
    }
}
