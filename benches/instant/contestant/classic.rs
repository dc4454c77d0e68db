//! The approach of most projects: a row trigger with the payload in NOTIFY, one listener, and one publish request per event.

use std::sync::Arc;

use serde_json::json;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinSet;
use tokio_postgres::{AsyncMessage, NoTls};

use super::{API_KEY, Running, UNCHANGED, centrifugo, event};
use crate::support::postgres::{Database, free_port};

/// Installs the trigger of every order. `channel` is an SQL expression.
pub(crate) async fn install(database: &Database, channel: &str) {
    let event = event("json_build_object", channel);
    let text = format!(
        "create function tell() returns trigger language plpgsql as $$
         begin
             if {UNCHANGED} then
                 return null;
             end if;
             perform pg_notify('orders', json_build_object('channel', {channel}, 'data', {event})::text);
             return null;
         end $$;
         create trigger tell after update on bench_order for each row execute function tell()"
    );
    database.connect().await.batch_execute(&text).await.unwrap();
}

/// Starts Centrifugo and the listener, which is a task of this process: a separate script would cost more.
pub(crate) async fn start(database: &Database) -> Running {
    let server = centrifugo(free_port(), json!({})).await;
    let (sender, payloads) = unbounded_channel();
    let (client, mut connection) = tokio_postgres::connect(&database.url, NoTls).await.unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Some(Ok(message)) = std::future::poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(notification) = message {
                let _ = sender.send(notification.payload().to_owned());
            }
        }
    });
    client.batch_execute("listen orders").await.unwrap();
    tasks.spawn(publish(format!("{}/api/publish", server.url), payloads, Arc::new(client)));
    Running {
        tasks,
        ..Running::at(server)
    }
}

/// Publishes one request after the other, which preserves the order.
async fn publish(url: String, mut payloads: UnboundedReceiver<String>, _listening: Arc<tokio_postgres::Client>) {
    let http = reqwest::Client::new();
    while let Some(payload) = payloads.recv().await {
        let request = http.post(&url).header("X-API-Key", API_KEY).body(payload);
        request
            .send()
            .await
            .unwrap()
            .error_for_status()
            .unwrap()
            .bytes()
            .await
            .unwrap();
    }
}
