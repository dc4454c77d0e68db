//! Read-only calls to Centrifugo: whether it answers and accepts the key, whether it has a channel's namespace, and which features that
//! has.

use jiff::Timestamp;
use serde_json::json;

use super::Centrifugo;
use super::call::CallError;
use crate::publisher::code::{NOT_AVAILABLE, UNKNOWN_CHANNEL};

/// Counts of connections on all nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections.
    pub clients: usize,
    /// Their users, counted on each node.
    pub users: usize,
    /// Channels with subscribers, counted on each node.
    pub channels: usize,
}

impl Centrifugo {
    /// Counts the connections, users and channels.
    ///
    /// # Errors
    /// When Centrifugo does not answer as expected.
    pub async fn counts(&self) -> Result<Counts, CallError> {
        let (answer, _) = self.call("info", &json!({})).await?;
        let mut counts = Counts::default();
        for node in answer.result["nodes"].as_array().into_iter().flatten() {
            let number = |name: &str| {
                node[name]
                    .as_u64()
                    .and_then(|number| usize::try_from(number).ok())
                    .unwrap_or(0)
            };
            counts.clients += number("num_clients");
            counts.users += number("num_users");
            counts.channels += number("num_channels");
        }
        Ok(counts)
    }

    /// Checks that Centrifugo answers and accepts the key; returns its clock, to the second.
    ///
    /// # Errors
    /// When Centrifugo does not answer as expected.
    pub async fn clock(&self) -> Result<Option<Timestamp>, CallError> {
        let (_, date) = self.call("info", &json!({})).await?;
        Ok(date)
    }

    /// Checks that the gRPC API answers and accepts the key, if publications go there.
    ///
    /// # Errors
    /// When Centrifugo does not answer as expected.
    pub async fn reach_grpc(&self) -> Result<(), CallError> {
        match &self.grpc {
            Some(grpc) => grpc.reach().await,
            None => Ok(()),
        }
    }

    /// Whether the namespace of `channel` is configured. Requests none of the channel's history.
    ///
    /// # Errors
    /// When Centrifugo does not answer as expected.
    pub async fn knows(&self, channel: &str) -> Result<bool, CallError> {
        let (answer, _) = self.call("history", &json!({ "channel": channel, "limit": 0 })).await?;
        Ok(answer.error.is_none_or(|error| error.code != UNKNOWN_CHANNEL))
    }

    /// Whether the namespace of `channel` has a history.
    ///
    /// # Errors
    /// When Centrifugo does not answer as expected.
    pub async fn keeps_history(&self, channel: &str) -> Result<bool, CallError> {
        let (answer, _) = self.call("history", &json!({ "channel": channel, "limit": 0 })).await?;
        Ok(answer.error.is_none_or(|error| error.code != NOT_AVAILABLE))
    }

    /// Whether the namespace of `channel` has presence.
    ///
    /// # Errors
    /// When Centrifugo does not answer as expected.
    pub async fn keeps_presence(&self, channel: &str) -> Result<bool, CallError> {
        let (answer, _) = self.call("presence_stats", &json!({ "channel": channel })).await?;
        Ok(answer.error.is_none_or(|error| error.code != NOT_AVAILABLE))
    }
}
