//! The methods of the hub's API.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::hub::code::{Disconnect, Error};
use crate::hub::{Draft, History, Hub, json, write_presence};

/// One method with its parameters.
#[derive(Debug)]
pub(super) enum Command {
    Publish(Publication),
    Broadcast(Publication),
    Presence(Named),
    PresenceStats(Named),
    History(History),
    Info,
    Disconnect(Cut),
    Unsubscribe(Cut),
}

/// Commands that are sent together.
#[derive(Debug, Deserialize)]
pub(super) struct Batch {
    #[serde(default)]
    pub(super) commands: Vec<Member>,
}

/// A member of a batch: one of the commands by its name.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Member {
    publish: Option<Publication>,
    broadcast: Option<Publication>,
    presence: Option<Named>,
    presence_stats: Option<Named>,
    history: Option<History>,
    info: Option<Named>,
    disconnect: Option<Cut>,
    unsubscribe: Option<Cut>,
}

/// A publication for one channel or for several.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Publication {
    channel: String,
    channels: Vec<String>,
    data: Option<Box<RawValue>>,
    tags: Option<BTreeMap<String, String>>,
    idempotency_key: String,
    skip_history: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Named {
    channel: String,
}

/// The connections to close, or those to unsubscribe from a channel.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Cut {
    user: String,
    client: String,
    channel: String,
    disconnect: Option<Code>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Code {
    code: u16,
    reason: String,
}

impl Member {
    pub(super) fn only(self) -> Option<Command> {
        None.or_else(|| self.publish.map(Command::Publish))
            .or_else(|| self.broadcast.map(Command::Broadcast))
            .or_else(|| self.presence.map(Command::Presence))
            .or_else(|| self.presence_stats.map(Command::PresenceStats))
            .or_else(|| self.history.map(Command::History))
            .or_else(|| self.info.map(|_| Command::Info))
            .or_else(|| self.disconnect.map(Command::Disconnect))
            .or_else(|| self.unsubscribe.map(Command::Unsubscribe))
    }
}

impl Command {
    /// The command of a method with the parameters in `body`; `None` if there is no such method.
    pub(super) fn parse(method: &str, body: &[u8]) -> serde_json::Result<Option<Self>> {
        Ok(Some(match method {
            "publish" => Self::Publish(serde_json::from_slice(body)?),
            "broadcast" => Self::Broadcast(serde_json::from_slice(body)?),
            "presence" => Self::Presence(serde_json::from_slice(body)?),
            "presence_stats" => Self::PresenceStats(serde_json::from_slice(body)?),
            "history" => Self::History(serde_json::from_slice(body)?),
            "info" => Self::Info,
            "disconnect" => Self::Disconnect(serde_json::from_slice(body)?),
            "unsubscribe" => Self::Unsubscribe(serde_json::from_slice(body)?),
            _ => return Ok(None),
        }))
    }

    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Publish(_) => "publish",
            Self::Broadcast(_) => "broadcast",
            Self::Presence(_) => "presence",
            Self::PresenceStats(_) => "presence_stats",
            Self::History(_) => "history",
            Self::Info => "info",
            Self::Disconnect(_) => "disconnect",
            Self::Unsubscribe(_) => "unsubscribe",
        }
    }

    /// Runs the command; the result is a JSON object.
    pub(super) async fn run(self, hub: &Hub) -> Result<Bytes, Error> {
        match self {
            Self::Publish(publication) => publication.publish(hub, &publication.channel).await,
            Self::Broadcast(publication) => publication.broadcast(hub).await,
            Self::Presence(Named { channel }) => {
                let present = hub.presence(&channel)?;
                Ok(json::object(|result| write_presence(result, &present)))
            }
            Self::PresenceStats(Named { channel }) => {
                let (clients, users) = hub.presence_stats(&channel)?;
                Ok(json::object(|result| {
                    result.count("num_clients", clients as u64);
                    result.count("num_users", users as u64);
                }))
            }
            Self::History(asked) => {
                let (publications, position) = hub.history(&asked.channel, &asked.range())?;
                Ok(json::object(|result| {
                    result.list("publications", &publications);
                    result.count("offset", position.offset);
                    result.text("epoch", &position.epoch);
                }))
            }
            Self::Info => Ok(info(hub)),
            Self::Disconnect(cut) => {
                let Code { code, reason } = cut.disconnect.unwrap_or_else(|| Code {
                    code: Disconnect::FORCE_NO_RECONNECT.code,
                    reason: Disconnect::FORCE_NO_RECONNECT.reason.into_owned(),
                });
                if !(3000..5000).contains(&code) {
                    return Err(Error::BAD_REQUEST);
                }
                let reason = Cow::Owned(reason.chars().take(32).collect());
                hub.disconnect(&cut.user, named(&cut.client), &Disconnect { code, reason });
                Ok(json::object(|_| {}))
            }
            Self::Unsubscribe(cut) => {
                hub.unsubscribe(&cut.user, named(&cut.client), &cut.channel);
                Ok(json::object(|_| {}))
            }
        }
    }
}

impl Publication {
    async fn publish(&self, hub: &Hub, channel: &str) -> Result<Bytes, Error> {
        let tags = self.tags.as_ref().and_then(|tags| serde_json::to_string(tags).ok());
        let key = &self.idempotency_key;
        let draft = Draft {
            data: self.data.as_ref().map_or(b"", |data| data.get().as_bytes()),
            tags: tags.as_deref(),
            key: (!key.is_empty()).then_some(key.as_bytes()),
            skip_history: self.skip_history,
            ..Draft::default()
        };
        let position = hub.publish(channel, &draft).await?;
        Ok(json::object(|result| {
            if let Some(position) = &position {
                result.number("offset", position.offset);
                result.text("epoch", &position.epoch);
            }
        }))
    }

    async fn broadcast(&self, hub: &Hub) -> Result<Bytes, Error> {
        if self.channels.is_empty() {
            return Err(Error::BAD_REQUEST);
        }
        let mut responses = Vec::with_capacity(self.channels.len());
        for channel in &self.channels {
            let result = self.publish(hub, channel).await;
            responses.push(json::object(|response| super::write(response, "result", &result)));
        }
        Ok(json::object(|result| result.list("responses", &responses)))
    }
}

fn info(hub: &Hub) -> Bytes {
    let counts = hub.counts();
    let node = json::object(|node| {
        node.text("uid", "hub");
        node.text("name", "instant");
        node.text("version", env!("CARGO_PKG_VERSION"));
        node.number("num_clients", counts.clients as u64);
        node.number("num_users", counts.users as u64);
        node.number("num_channels", counts.channels as u64);
        node.number("num_subs", counts.subscriptions as u64);
        node.number("uptime", hub.uptime().as_secs());
    });
    json::object(|result| result.list("nodes", [&node]))
}

fn named(client: &str) -> Option<&str> {
    (!client.is_empty()).then_some(client)
}
