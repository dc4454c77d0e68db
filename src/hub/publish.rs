//! Publishing: a publication is numbered, kept and encoded once, for any number of subscribers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::Hub;
use super::channel::{Channel, push};
use super::client::Client;
use super::code::Error;
use super::json::{self, Object};
use super::stream::{Bounds, Position};

/// How long a publication may wait for the fullest queue. A client that reads too little meanwhile is not waited for again, and is
/// disconnected some publications later.
const SLOW_CLIENT_WAIT: Duration = Duration::from_millis(100);
/// The rate, in bytes per millisecond, below which a client that is waited for counts as slow.
const SLOW_RATE: u128 = 1024;
/// The interval at which a full queue is polled.
const POLL: Duration = Duration::from_millis(1);

/// A publication that is about to be published.
#[derive(Clone, Copy, Default)]
pub struct Draft<'a> {
    /// Its data: JSON.
    pub data: &'a [u8],
    /// Its tags: a JSON object.
    pub tags: Option<&'a str>,
    /// The client that publishes, as JSON.
    pub info: Option<&'a [u8]>,
    /// The idempotency key, by which repetitions are recognised.
    pub key: Option<&'a [u8]>,
    /// Whether the history leaves it out.
    pub skip_history: bool,
}

impl Hub {
    /// Publishes, and gives subscribers time to read it: a flood is as fast as the slowest client that is not disconnected as slow.
    /// Returns the position if the channel has a history.
    ///
    /// # Errors
    /// When the channel or the data is empty, or the channel's namespace is not configured.
    pub async fn publish(&self, channel: &str, draft: &Draft<'_>) -> Result<Option<Position>, Error> {
        let (position, fullest) = self.publish_now(channel, draft)?;
        if let Some(client) = fullest.filter(|client| client.queue.is_behind()) {
            self.wait_for(&client).await;
        }
        Ok(position)
    }

    /// Waits for a client that is behind. One that reads catches up immediately; one that reads less uses up the budget, even if it
    /// reads just enough.
    async fn wait_for(&self, client: &Client) {
        let begin = Instant::now();
        if !self.wait_budget.has_some(begin) {
            client.queue.stall();
            return;
        }
        let before = client.queue.bytes();
        while client.queue.is_behind() {
            if begin.elapsed() > SLOW_CLIENT_WAIT {
                client.queue.stall();
                break;
            }
            tokio::time::sleep(POLL).await;
        }
        let (now, taken) = (Instant::now(), before.saturating_sub(client.queue.bytes()));
        let waited = now.saturating_duration_since(begin);
        if u128::try_from(taken).is_ok_and(|taken| taken < waited.as_millis() * SLOW_RATE) {
            self.wait_budget.spend(waited, now);
        }
    }

    fn publish_now(&self, name: &str, draft: &Draft<'_>) -> Result<(Option<Position>, Option<Arc<Client>>), Error> {
        let history = self.namespaces().of(name)?.history.filter(|_| !draft.skip_history);
        if draft.data.is_empty() {
            return Err(Error::BAD_REQUEST);
        }
        let now = Instant::now();
        let mut shard = self.shard(name);
        let hash = draft.key.map(|key| self.seen_keys.hash(name, key));
        let known = hash.and_then(|hash| self.seen_keys.find(hash, now));
        if let Some(offset) = known {
            let stream = shard.channels.get(name).and_then(|channel| channel.stream.as_ref());
            let position = stream.filter(|_| offset > 0).map(|stream| Position {
                offset,
                ..stream.position()
            });
            return Ok((position, None));
        }
        let (position, fullest) = match history {
            None => {
                let channel = shard.channels.get(name);
                (None, channel.and_then(|channel| channel.publish(name, draft)))
            }
            Some(history) => {
                let channel = shard.channel(name.into());
                let stream = channel.stream(now);
                let (message, publication) = match stream.next() {
                    1 => encode_first(name, &stream.position().epoch, draft),
                    offset => encode(name, offset, draft),
                };
                let bounds = Bounds {
                    size: history.size as usize,
                    ttl: history.ttl,
                    bytes: &self.kept,
                    limit: self.limits.history,
                };
                stream.push(publication, &bounds, now);
                (Some(stream.position()), channel.send(&message))
            }
        };
        if let Some(hash) = hash {
            let offset = position.as_ref().map_or(0, |position| position.offset);
            self.seen_keys.insert(hash, offset, now);
        }
        Ok((position, fullest))
    }
}

impl Channel {
    /// Sends a publication without keeping it.
    fn publish(&self, name: &str, draft: &Draft<'_>) -> Option<Arc<Client>> {
        if self.subscribers.is_empty() {
            return None;
        }
        let (message, _) = encode(name, 0, draft);
        self.send(&message)
    }
}

/// Encodes the message, and returns it with the publication inside it, which shares its bytes.
fn encode(channel: &str, offset: u64, draft: &Draft<'_>) -> (Bytes, Bytes) {
    let (mut start, mut end) = (0, 0);
    let message = push(channel, |push| {
        push.object("pub", |publication| {
            // The opening brace is before the start, and the closing one after the end.
            start = publication.place() - 1;
            write(publication, offset, draft);
            end = publication.place() + 1;
        });
    });
    let publication = message.slice(start..end);
    (message, publication)
}

/// Encodes the first publication of a history, whose message tells subscribers the epoch, as in Centrifugo.
fn encode_first(channel: &str, epoch: &str, draft: &Draft<'_>) -> (Bytes, Bytes) {
    let message = push(channel, |push| {
        push.object("pub", |publication| {
            write(publication, 1, draft);
            publication.text("epoch", epoch);
        });
    });
    (message, json::object(|publication| write(publication, 1, draft)))
}

fn write(publication: &mut Object<'_>, offset: u64, draft: &Draft<'_>) {
    publication.raw("data", draft.data);
    if let Some(info) = draft.info {
        publication.raw("info", info);
    }
    publication.number("offset", offset);
    if let Some(tags) = draft.tags {
        publication.raw("tags", tags.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_publication_shares_the_bytes_of_the_message() {
        let draft = Draft {
            data: b"{\"a\":\n1}",
            tags: Some(r#"{"t":"1"}"#),
            ..Draft::default()
        };
        let (message, publication) = encode("room:1", 7, &draft);
        assert_eq!(
            message,
            r#"{"push":{"channel":"room:1","pub":{"data":{"a":1},"offset":7,"tags":{"t":"1"}}}}"#
        );
        assert_eq!(publication, r#"{"data":{"a":1},"offset":7,"tags":{"t":"1"}}"#);
    }
}
