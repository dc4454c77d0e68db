//! A subscriber over WebSocket, which receives what a browser would.

use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_centrifuge::client::Client;
use tokio_centrifuge::config::Config;

use crate::support::centrifugo::Centrifugo;
use crate::support::wait::{SOON, within};

/// One publication, as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Publication {
    /// The channel it came through.
    pub(crate) channel: String,
    /// Its data, byte for byte.
    pub(crate) raw: Vec<u8>,
    /// Its offset in the channel's history; 0 without one.
    pub(crate) offset: u64,
}

impl Publication {
    /// The data, parsed.
    pub(crate) fn value(&self) -> Value {
        serde_json::from_slice(&self.raw).unwrap()
    }

    /// The data as it was written: key order, `1.0` and duplicate keys are kept.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.raw).unwrap()
    }
}

/// A connected client that keeps the publications of all its channels in the order they arrived. It reconnects by itself, but does not
/// recover missed publications.
pub(crate) struct Subscriber {
    client: Client,
    sender: UnboundedSender<Publication>,
    publications: UnboundedReceiver<Publication>,
}

impl Subscriber {
    /// Connects without a token and subscribes.
    pub(crate) async fn anonymous(server: &Centrifugo, channels: &[&str]) -> Self {
        Self::with_token(server, String::new(), channels).await
    }

    /// Connects as a user, who may also subscribe to the channel `#user`, and subscribes.
    pub(crate) async fn user(server: &Centrifugo, user: &str, channels: &[&str]) -> Self {
        let token = server.token(user).await;
        Self::with_token(server, token, channels).await
    }

    async fn with_token(server: &Centrifugo, token: String, channels: &[&str]) -> Self {
        // The JSON protocol of this client parses the data and writes it again; Protobuf delivers it unchanged.
        let url = format!("{}?format=protobuf", server.ws_url);
        let client = Client::new(&url, Config::new().use_protobuf().with_token(token));
        within(SOON, "a connection to Centrifugo", client.connect())
            .await
            .expect("Centrifugo accepts the client");
        let (sender, publications) = unbounded_channel();
        let subscriber = Self {
            client,
            sender,
            publications,
        };
        for channel in channels {
            assert!(subscriber.subscribe(channel).await, "{channel} was refused");
        }
        subscriber
    }

    /// Subscribes to another channel; returns whether the server allowed it.
    pub(crate) async fn subscribe(&self, channel: &str) -> bool {
        let subscription = self.client.new_subscription(channel);
        let (name, sender) = (channel.to_owned(), self.sender.clone());
        subscription.on_publication(move |publication| {
            let (raw, offset) = (publication.data, publication.offset);
            // The receiver is gone when the test is over.
            let _ = sender.send(Publication {
                channel: name.clone(),
                raw,
                offset,
            });
        });
        within(SOON, "an answer to a subscription", subscription.subscribe())
            .await
            .is_ok()
    }

    /// The next publication.
    ///
    /// # Panics
    /// At the deadline.
    pub(crate) async fn next(&mut self, deadline: Duration) -> Publication {
        within(deadline, "a publication", self.publications.recv())
            .await
            .expect("the subscriber keeps a sender")
    }

    /// The next `count` publications.
    pub(crate) async fn take(&mut self, count: usize, deadline: Duration) -> Vec<Publication> {
        let mut taken = Vec::with_capacity(count);
        while taken.len() < count {
            taken.push(self.next(deadline).await);
        }
        taken
    }

    /// Asserts that nothing arrives before the marker, which the test sends the same way as the event that must not arrive.
    pub(crate) async fn expect_silence_until(&mut self, deadline: Duration, is_marker: impl Fn(&Value) -> bool) -> Publication {
        let publication = self.next(deadline).await;
        assert!(
            is_marker(&publication.value()),
            "on {}: {}",
            publication.channel,
            publication.text()
        );
        publication
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        // Sent by the runtime, if that still runs.
        drop(self.client.disconnect());
    }
}
