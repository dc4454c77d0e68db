//! `/api/…`: the hub's HTTP API, compatible with Centrifugo's, so that programs written for one work with the other.

mod command;

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::http::{HeaderName, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use secrecy::{ExposeSecret, SecretString};

use super::{Web, leadership};
use crate::django::mac;
use crate::hub::Hub;
use crate::hub::code::Error;
use crate::hub::json::{self, Object};
use command::{Batch, Command};

/// The header that contains the key.
const KEY_HEADER: HeaderName = HeaderName::from_static("x-api-key");
/// The largest body in bytes: a batch of the relay has a megabyte, or one event that may be larger.
pub(super) const LARGEST_BODY: usize = 32 << 20;

/// Accepts only requests with the key. Guesses are rate-limited.
pub(super) async fn authenticate(State(web): State<Arc<Web>>, request: Request, next: Next) -> Response {
    let given = request.headers().get(KEY_HEADER);
    let secrets = web.secrets();
    let is_known = given.is_some_and(|given| {
        let is = |wanted: &SecretString| mac::equal(given.as_bytes(), wanted.expose_secret().as_bytes());
        secrets.api.iter().any(is)
    });
    if is_known {
        return next.run(request).await;
    }
    web.refuse_guess(&request, "")
}

/// Calls a method.
pub(super) async fn call(State(web): State<Arc<Web>>, Path(method): Path<String>, body: Bytes) -> Response {
    let Some(hub) = &web.hub else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let answer = if method == "batch" {
        serde_json::from_slice(&body).map(Some).map(|batch| batch.map(Asked::Batch))
    } else {
        Command::parse(&method, &body).map(|command| command.map(Asked::Command))
    };
    let request = match answer {
        Ok(Some(request)) => request,
        Ok(None) => return StatusCode::NOT_FOUND.into_response(),
        Err(_) => return (StatusCode::BAD_REQUEST, "Bad Request\n").into_response(),
    };
    let body = match request {
        Asked::Batch(batch) => replies(hub, batch).await,
        Asked::Command(command) => {
            let result = command.run(hub).await;
            json::object(|answer| write(answer, "result", &result))
        }
    };
    if !web.reaches_subscribers() {
        // The subscribers were disconnected meanwhile.
        return leadership::elsewhere();
    }
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
}

enum Asked {
    Batch(Batch),
    Command(Command),
}

/// The replies to the commands of a batch, which run one after the other even if the batch allows them to run in parallel.
async fn replies(hub: &Hub, batch: Batch) -> Bytes {
    let mut replies = Vec::with_capacity(batch.commands.len());
    for command in batch.commands {
        let (name, result) = match command.only() {
            Some(command) => (command.name(), command.run(hub).await),
            None => ("error", Err(Error::BAD_REQUEST)),
        };
        replies.push(json::object(|reply| write(reply, name, &result)));
    }
    json::object(|answer| {
        if !replies.is_empty() {
            answer.list("replies", &replies);
        }
    })
}

/// Writes a result under its name, or an error.
fn write(object: &mut Object<'_>, name: &str, result: &Result<Bytes, Error>) {
    match result {
        Ok(result) => object.raw(name, result),
        Err(error) => object.object("error", |object| {
            object.number("code", error.code.into());
            object.text("message", error.message);
        }),
    }
}
