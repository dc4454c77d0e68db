//! Queries of the hub's state: connections, subscribers, presence and histories.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::channel::Channel;
use super::code::Error;
use super::stream::{Position, Range};
use super::{Hub, directory, json};

/// The number of connections, users, channels and subscriptions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections.
    pub clients: usize,
    /// Distinct users of these connections.
    pub users: usize,
    /// Channels with subscribers.
    pub channels: usize,
    /// Subscriptions.
    pub subscriptions: usize,
}

impl Hub {
    /// Returns the clients listed in a channel, each as `{"user":…,"client":…}`, by the identifier of the connection.
    ///
    /// # Errors
    /// When the channel's namespace is unknown or has no presence.
    pub fn presence(&self, channel: &str) -> Result<Vec<(Arc<str>, Bytes)>, Error> {
        if !self.namespaces().of(channel)?.presence {
            return Err(Error::NOT_AVAILABLE);
        }
        let shard = self.shard(channel);
        let present = shard.channels.get(channel).into_iter().flat_map(Channel::present);
        Ok(present.map(|client| (Arc::clone(&client.id), client.info())).collect())
    }

    /// Returns the number of connections and users listed in a channel.
    ///
    /// # Errors
    /// When the channel's namespace is unknown or has no presence.
    pub fn presence_stats(&self, channel: &str) -> Result<(usize, usize), Error> {
        if !self.namespaces().of(channel)?.presence {
            return Err(Error::NOT_AVAILABLE);
        }
        let shard = self.shard(channel);
        let present = shard.channels.get(channel).into_iter().flat_map(Channel::present);
        let users: Vec<&str> = present.map(|client| client.user()).collect();
        let distinct: HashSet<&str> = users.iter().copied().collect();
        Ok((users.len(), distinct.len()))
    }

    /// Returns a part of a channel's history, as encoded publications, and the position of the history.
    ///
    /// # Errors
    /// When the channel's namespace is unknown or has no history, or the position belongs to another history.
    pub fn history(&self, channel: &str, range: &Range) -> Result<(Vec<Bytes>, Position), Error> {
        if self.namespaces().of(channel)?.history.is_none() {
            return Err(Error::NOT_AVAILABLE);
        }
        if range.reverse && range.since.as_ref().is_some_and(|since| since.offset == 0) {
            return Err(Error::BAD_REQUEST);
        }
        let now = Instant::now();
        let mut shard = self.shard(channel);
        let stream = shard.channel(channel.into()).stream(now);
        stream.expire(&self.kept, now);
        let publications = stream.range(range).ok_or(Error::UNRECOVERABLE_POSITION)?;
        Ok((publications, stream.position()))
    }

    /// Returns the number of connections, users, channels and subscriptions.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let (clients, users) = self.directory.count();
        let mut counts = Counts {
            clients,
            users,
            ..Counts::default()
        };
        for shard in &self.shards {
            let shard = shard.lock();
            for channel in shard.channels.values().filter(|channel| !channel.subscribers.is_empty()) {
                counts.channels += 1;
                counts.subscriptions += channel.subscribers.len();
            }
        }
        counts
    }

    /// Returns the users with the most connections, and their number; the key of anonymous visitors is empty.
    #[must_use]
    pub fn users(&self, limit: usize) -> Vec<(String, usize)> {
        self.directory.users(limit)
    }

    /// Returns the channels with the most subscribers, and their number.
    #[must_use]
    pub fn audiences(&self, limit: usize) -> Vec<(Arc<str>, usize)> {
        let mut all = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock();
            let subscribed = shard.channels.iter().filter(|(_, channel)| !channel.subscribers.is_empty());
            all.extend(subscribed.map(|(name, channel)| (Arc::clone(name), channel.subscribers.len())));
        }
        directory::largest(all.into_iter(), limit)
    }

    /// Returns the time since the hub was created.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }
}

/// Writes who is listed in a channel, as clients and the API are answered.
pub fn write_presence(object: &mut json::Object<'_>, present: &[(Arc<str>, Bytes)]) {
    object.object("presence", |list| {
        for (client, info) in present {
            list.raw(client, info);
        }
    });
}
