//! The messages of Centrifugo's client protocol, in JSON.
//!
//! Source: `client.proto` of centrifugal/protocol.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::HashMap;

use super::code::Error;
use super::json::{self, Object};
use super::stream::{Position, Range};
use super::subscription::RecoveryRequest;

/// A message of a client: an id and one of the commands, or nothing at all, which answers a ping.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Command {
    pub(super) id: u32,
    pub(super) connect: Option<Connect>,
    pub(super) subscribe: Option<Subscribe>,
    pub(super) unsubscribe: Option<Named>,
    pub(super) publish: Option<Publish>,
    pub(super) presence: Option<Named>,
    pub(super) presence_stats: Option<Named>,
    pub(super) history: Option<History>,
    pub(super) refresh: Option<Refresh>,
    pub(super) sub_refresh: Option<SubRefresh>,
    pub(super) rpc: Option<Anything>,
    pub(super) send: Option<Anything>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Connect {
    pub(super) token: String,
    /// The positions to recover from, of channels that the server subscribes it to.
    pub(super) subs: HashMap<String, RecoveryRequest>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Subscribe {
    pub(super) channel: String,
    pub(super) token: String,
    #[serde(flatten)]
    pub(super) past: RecoveryRequest,
    /// Any value but 0 is a kind of subscription that the hub does not support.
    #[serde(rename = "type")]
    pub(super) kind: i32,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Named {
    pub(super) channel: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Publish {
    pub(super) channel: String,
    pub(super) data: Option<Box<RawValue>>,
}

/// What a client, or the API, asks of a channel's history.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct History {
    /// The channel.
    pub channel: String,
    limit: i32,
    since: Option<Position>,
    reverse: bool,
}

impl History {
    /// The part that is asked for; a negative limit is none.
    #[must_use]
    pub fn range(&self) -> Range {
        Range {
            since: self.since.clone(),
            limit: usize::try_from(self.limit).ok(),
            reverse: self.reverse,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Refresh {
    pub(super) token: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct SubRefresh {
    pub(super) channel: String,
    pub(super) token: String,
}

/// A command that the hub does not support, whatever its content.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Anything {}

/// Encodes the reply to the command `id`.
pub(super) fn reply(id: u32, command: &str, write: impl FnOnce(&mut Object<'_>)) -> Bytes {
    json::object(|reply| {
        reply.number("id", id.into());
        reply.object(command, write);
    })
}

/// Encodes the error reply to the command `id`.
pub(super) fn refusal(id: u32, error: &Error) -> Bytes {
    reply(id, "error", |object| {
        object.number("code", error.code.into());
        object.text("message", error.message);
        object.flag("temporary", error.temporary);
    })
}
