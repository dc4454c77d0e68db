//! The server that browsers are connected to: Centrifugo, or the hub.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tracing::warn;

use crate::hub::Hub;
use crate::hub::code::Disconnect;
use crate::mapping::Mapping;
use crate::outbox::{self, LetterFilter, Operator};
use crate::publisher::centrifugo::{CallError, Centrifugo};
use crate::publisher::{Observers, Tap};
use crate::relay::{Redelivery, RelatedLoader, redeliver};

/// Makes a client reconnect, which identifies it again. Centrifugo's own codes of that kind have other meanings.
const CHANGED: Disconnect = Disconnect::new(4001, "access changed");
/// How long Centrifugo may take to close a connection; the next check retries.
const API_TIMEOUT: Duration = Duration::from_secs(2);

/// The server that browsers are connected to.
#[derive(Debug)]
pub(super) enum Backend {
    Centrifugo(Arc<Centrifugo>),
    Hub(Arc<Hub>),
}

/// The connections, as counts and lists.
#[derive(Debug, Serialize)]
pub(super) struct Connected {
    clients: usize,
    users: usize,
    channels: usize,
    /// The users with the most connections; `None` with Centrifugo, which does not report them. A visitor's key is empty.
    listed_users: Option<Vec<(String, usize)>>,
    /// The channels with the most subscribers; `None` with Centrifugo, which does not report them.
    listed_channels: Option<Vec<(Arc<str>, usize)>>,
}

impl Backend {
    /// Closes a user's connection; returns whether that succeeded.
    pub(super) async fn disconnect(&self, user: &str, client: &str) -> bool {
        match self {
            Self::Centrifugo(server) => done(server.disconnect(user, client, CHANGED.code, &CHANGED.reason)).await,
            Self::Hub(hub) => {
                hub.disconnect(user, Some(client), &CHANGED);
                true
            }
        }
    }

    /// Ends the subscription to `channel` of a user's connection, or of all of the user's without `client`; returns whether that
    /// succeeded.
    pub(super) async fn unsubscribe(&self, user: &str, client: Option<&str>, channel: &str) -> bool {
        match self {
            Self::Centrifugo(server) => unsubscribe(server, user, client, channel).await,
            Self::Hub(hub) => {
                hub.unsubscribe(user, client, channel);
                true
            }
        }
    }
}

impl Backend {
    /// The connections, with up to `limit` users and channels by name; `None` if Centrifugo does not answer.
    pub(super) async fn connected(&self, limit: usize) -> Option<Connected> {
        match self {
            Self::Centrifugo(server) => {
                let counts = tokio::time::timeout(API_TIMEOUT, server.counts()).await.ok()?.ok()?;
                Some(Connected {
                    clients: counts.clients,
                    users: counts.users,
                    channels: counts.channels,
                    listed_users: None,
                    listed_channels: None,
                })
            }
            Self::Hub(hub) => {
                let counts = hub.counts();
                Some(Connected {
                    clients: counts.clients,
                    users: counts.users,
                    channels: counts.channels,
                    listed_users: Some(hub.users(limit)),
                    listed_channels: Some(hub.audiences(limit)),
                })
            }
        }
    }

    /// Sends dead letters again, see [`redeliver`]; `observers` see what is sent.
    pub(super) async fn redeliver(
        &self,
        operator: &Operator,
        filter: &LetterFilter,
        related: &mut RelatedLoader,
        rules: Arc<Mapping>,
        observers: &Observers,
    ) -> Result<Redelivery, outbox::Error> {
        let rules = std::future::ready(Ok(rules));
        match self {
            Self::Centrifugo(server) => {
                let tap = Tap::new(Arc::clone(server), observers.clone());
                redeliver(operator, &tap, filter, related, rules).await
            }
            Self::Hub(hub) => {
                let tap = Tap::new(Arc::clone(hub), observers.clone());
                redeliver(operator, &tap, filter, related, rules).await
            }
        }
    }
}

/// Closes all of a user's connections to Centrifugo except those with the ids in `kept`; returns whether that succeeded.
pub(super) async fn disconnect_others(server: &Centrifugo, user: &str, kept: &[&str]) -> bool {
    done(server.disconnect_others(user, kept, CHANGED.code, &CHANGED.reason)).await
}

/// [`Backend::unsubscribe`] on Centrifugo.
pub(super) async fn unsubscribe(server: &Centrifugo, user: &str, client: Option<&str>, channel: &str) -> bool {
    done(server.unsubscribe(user, client, channel)).await
}

/// Whether Centrifugo has enforced a revocation in time; otherwise the next check retries.
async fn done(cut: impl Future<Output = Result<(), CallError>>) -> bool {
    let reason = match tokio::time::timeout(API_TIMEOUT, cut).await {
        Ok(Ok(())) => return true,
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it did not answer in time".to_owned(),
    };
    warn!(reason, "Centrifugo did not enforce a revocation; it is retried");
    false
}
