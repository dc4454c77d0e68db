//! A subscriber that recovers what it missed, as the official clients do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use parking_lot::{Mutex, MutexGuard};
use serde_json::{Value, json};
use tokio::task::AbortHandle;
use tokio_tungstenite::tungstenite::Message;

use super::verdict::{Deed, Heard};

/// The delay before it reconnects.
const RECONNECT: Duration = Duration::from_millis(20);
/// Centrifugo sends a ping every 25 seconds; without one for longer the connection is dead.
const SILENCE: Duration = Duration::from_secs(35);

/// The subscriber, which ends when dropped.
pub(super) struct Listener {
    state: Arc<Mutex<State>>,
    task: AbortHandle,
}

#[derive(Default)]
struct State {
    heard: Vec<Heard>,
    markers: usize,
    /// The epoch and the offset of each channel.
    positions: BTreeMap<String, (String, u64)>,
    gap: bool,
    connections: u32,
}

/// The value of a row that is not a deed.
pub(super) const MARKER: &str = "marker";

impl Listener {
    /// Subscribes to these channels.
    pub(super) fn start(url: &str, channels: &[String]) -> Self {
        let state = Arc::<Mutex<State>>::default();
        let (url, channels, shared) = (url.to_owned(), channels.to_vec(), Arc::clone(&state));
        let task = tokio::spawn(async move {
            loop {
                // A connection ends with an error whenever Centrifugo does.
                let _ = listen(&url, &channels, &shared).await;
                tokio::time::sleep(RECONNECT).await;
            }
        });
        Self {
            state,
            task: task.abort_handle(),
        }
    }

    /// Whether all channels are subscribed.
    pub(super) fn is_there(&self, channels: usize) -> bool {
        self.state().positions.len() == channels
    }

    /// Whether something was missed that cannot be recovered.
    pub(super) fn has_gap(&self) -> bool {
        self.state().gap
    }

    pub(super) fn count(&self) -> usize {
        self.state().heard.len()
    }

    pub(super) fn markers(&self) -> usize {
        self.state().markers
    }

    pub(super) fn connections(&self) -> u32 {
        self.state().connections
    }

    pub(super) fn heard(&self) -> Vec<Heard> {
        self.state().heard.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn listen(url: &str, channels: &[String], state: &Mutex<State>) -> Result<(), Failure> {
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await?;
    socket
        .send(Message::text(json!({"id": 1, "connect": {}}).to_string()))
        .await?;
    for (number, channel) in channels.iter().enumerate() {
        let position = state.lock().positions.get(channel).cloned();
        let mut subscribe = json!({ "channel": channel });
        if let Some((epoch, offset)) = position {
            subscribe = json!({ "channel": channel, "recover": true, "epoch": epoch, "offset": offset });
        }
        let command = json!({ "id": number + 2, "subscribe": subscribe });
        socket.send(Message::text(command.to_string())).await?;
    }
    loop {
        let message = tokio::time::timeout(SILENCE, socket.next()).await?.ok_or("closed")??;
        let Message::Text(text) = message else { continue };
        for line in text.lines() {
            let frame: Value = serde_json::from_str(line)?;
            if frame.as_object().is_some_and(serde_json::Map::is_empty) {
                socket.send(Message::text("{}")).await?;
            }
            if let Some(error) = frame.get("error") {
                return Err(error.to_string().into());
            }
            let mut state = state.lock();
            if frame.get("connect").is_some() {
                state.connections += 1;
            }
            if let Some(subscribed) = frame.get("subscribe") {
                let number = usize::try_from(frame["id"].as_u64().unwrap()).unwrap() - 2;
                state.subscribed(&channels[number], subscribed);
            }
            if let Some(publication) = frame.pointer("/push/pub") {
                let channel = frame["push"]["channel"].as_str().unwrap();
                state.published(channel, publication);
            }
        }
    }
}

impl State {
    fn subscribed(&mut self, channel: &str, answer: &Value) {
        let is_first = !self.positions.contains_key(channel);
        self.gap |= !is_first && answer["recovered"] != true;
        let epoch = answer["epoch"].as_str().unwrap_or_default().to_owned();
        let offset = answer["offset"].as_u64().unwrap_or_default();
        let known = self.positions.get(channel).map_or(offset, |(_, known)| *known);
        self.positions.insert(channel.to_owned(), (epoch, known));
        for publication in answer["publications"].as_array().into_iter().flatten() {
            self.published(channel, publication);
        }
        if let Some((_, known)) = self.positions.get_mut(channel) {
            *known = offset.max(*known);
        }
    }

    fn published(&mut self, channel: &str, publication: &Value) {
        let offset = publication["offset"].as_u64().unwrap_or_default();
        let Some((_, known)) = self.positions.get_mut(channel) else {
            return;
        };
        if offset <= *known {
            return;
        }
        *known = offset;
        let event = &publication["data"];
        let value = event["data"]["value"].as_str().unwrap_or_default();
        if value == MARKER {
            self.markers += 1;
            return;
        }
        self.heard.push(Heard {
            id: event["id"].as_str().unwrap_or_default().to_owned(),
            deed: Deed {
                operation: event["op"].as_str().unwrap_or_default().to_owned(),
                row: event["pk"].as_i64().unwrap_or_default(),
                value: value.to_owned(),
            },
        });
    }
}
