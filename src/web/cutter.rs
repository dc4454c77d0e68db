//! Who cuts connections and subscriptions: Centrifugo, or the hub.

use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use crate::hub::Hub;
use crate::hub::code::Disconnect;
use crate::publisher::centrifugo::{CallError, Centrifugo};

/// After which a client connects again, and is asked who it is. Centrifugo's own codes of that kind mean something else.
const CHANGED: Disconnect = Disconnect::new(4001, "access changed");
/// How long Centrifugo may take to cut a connection; the next look tries again.
const API_TIMEOUT: Duration = Duration::from_secs(2);

/// The server that browsers are connected to.
#[derive(Debug)]
pub(super) enum Cutter {
    Centrifugo(Centrifugo),
    Hub(Arc<Hub>),
}

impl Cutter {
    /// Disconnects a user's connection, or all of them without `client`; returns whether it is done.
    pub(super) async fn disconnect(&self, user: &str, client: Option<&str>) -> bool {
        match self {
            Self::Centrifugo(server) => done(server.disconnect(user, client, CHANGED.code, &CHANGED.reason)).await,
            Self::Hub(hub) => {
                hub.disconnect(user, client, &CHANGED);
                true
            }
        }
    }

    /// Ends the subscription to `channel` of a user's connection, or of all of them without `client`; returns whether it is done.
    pub(super) async fn unsubscribe(&self, user: &str, client: Option<&str>, channel: &str) -> bool {
        match self {
            Self::Centrifugo(server) => done(server.unsubscribe(user, client, channel)).await,
            Self::Hub(hub) => {
                hub.unsubscribe(user, client, channel);
                true
            }
        }
    }
}

/// Whether Centrifugo has cut something in time; otherwise the next look tries again.
async fn done(cut: impl Future<Output = Result<(), CallError>>) -> bool {
    let reason = match tokio::time::timeout(API_TIMEOUT, cut).await {
        Ok(Ok(())) => return true,
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it did not answer in time".to_owned(),
    };
    warn!(reason, "Centrifugo does not cut what was revoked; it is asked again");
    false
}
