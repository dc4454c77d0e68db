//! The actions of the page: list dead letters, send them again, send a message.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::outbox::{Error, LetterFilter, Message, Operator};
use crate::relay::RelatedLoader;
use crate::web::Web;

/// The most letters that are sent again in one request.
const LETTERS: usize = 1000;

/// A message, as in `instant send`.
#[derive(Deserialize)]
pub(super) struct Draft {
    message: String,
    event_class: Option<String>,
    target: Option<String>,
    channel: Option<String>,
    data: Option<Map<String, Value>>,
}

/// Letters by their ids.
#[derive(Deserialize)]
pub(super) struct Chosen {
    ids: Vec<i64>,
}

/// Sends a message, which appears on the page as an event.
pub(super) async fn send(State(web): State<Arc<Web>>, Json(draft): Json<Draft>) -> Response {
    let message = Message {
        text: draft.message,
        event_class: draft.event_class.unwrap_or_else(|| "default".to_owned()),
        target: draft.target,
        data: draft.data.map(|data| Value::Object(data).to_string()),
        channel: draft.channel,
        bucket: None,
        site: None,
    };
    let sent = async { Operator::connect(&web.live.database).await?.broadcast(&message).await };
    match sent.await {
        Ok(()) => Json(json!({ "sent": true })).into_response(),
        Err(error) => failed(&error),
    }
}

/// The oldest dead letters, without their events.
pub(super) async fn letters(State(web): State<Arc<Web>>) -> Response {
    let found = async {
        let operator = Operator::connect(&web.live.database).await?;
        operator.letters(&LetterFilter::default(), 0, false).await
    };
    match found.await {
        Ok(page) => {
            let letters = page.iter().map(|stored| {
                let letter = &stored.letter;
                json!({
                    "id": stored.id,
                    "parked_at": stored.parked_at,
                    "model": letter.model,
                    "rule": letter.rule,
                    "channel": letter.channel,
                    "reason": letter.reason,
                    "code": letter.code,
                })
            });
            Json(letters.collect::<Vec<_>>()).into_response()
        }
        Err(error) => failed(&error),
    }
}

/// Sends dead letters again, as `instant dead retry` does. This outlives a cancelled request: sent letters must be settled, or they would
/// be received twice when sent again later.
pub(super) async fn retry(State(web): State<Arc<Web>>, Json(chosen): Json<Chosen>) -> Response {
    if !(1..=LETTERS).contains(&chosen.ids.len()) {
        return (StatusCode::BAD_REQUEST, "give 1 to 1000 letters\n").into_response();
    }
    let sent = web.tasks.spawn(redeliver(Arc::clone(&web), chosen.ids));
    sent.await
        .unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

async fn redeliver(web: Arc<Web>, ids: Vec<i64>) -> Response {
    let Some(backend) = &web.backend else {
        return (StatusCode::BAD_REQUEST, "there is no server to send letters to\n").into_response();
    };
    let filter = LetterFilter {
        ids,
        ..LetterFilter::default()
    };
    let live = &web.live;
    let retried = async {
        let operator = Operator::connect(&live.database).await?;
        let mut related = RelatedLoader::new(live.database.clone(), live.related_ttl);
        let rules = Arc::clone(&live.rules.borrow());
        backend
            .redeliver(&operator, &filter, &mut related, rules, &live.observers)
            .await
    };
    match retried.await {
        Ok(done) => {
            let interrupted = done.interrupted.map(|interrupted| interrupted.with_hint());
            let (sent, obsolete, refused) = (done.sent, done.obsolete, done.refused);
            Json(json!({ "sent": sent, "obsolete": obsolete, "refused": refused, "interrupted": interrupted })).into_response()
        }
        Err(error) => failed(&error),
    }
}

/// Reports an error, whose cause the staff may see.
fn failed(error: &Error) -> Response {
    (StatusCode::UNPROCESSABLE_ENTITY, format!("{error}\n")).into_response()
}
