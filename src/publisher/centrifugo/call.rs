//! Calls of single methods of Centrifugo's HTTP API.

use hyper::StatusCode;
use hyper::header::DATE;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::{Centrifugo, refusal};
use crate::publisher::{BatchError, Rejection};

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The server answers but does not accept the key.
    #[error("Centrifugo does not accept the key")]
    Key,
    /// The server does not answer, or is not Centrifugo.
    #[error(transparent)]
    Other(#[from] BatchError),
}

/// The answer to a call.
#[derive(Deserialize)]
pub(super) struct Answer {
    #[serde(default)]
    pub(super) result: Value,
    pub(super) error: Option<Rejection>,
}

impl Centrifugo {
    /// Calls a method; returns its answer and the server's clock, to the second.
    pub(super) async fn call(&self, method: &str, parameters: &Value) -> Result<(Answer, Option<Timestamp>), CallError> {
        let answer = self.http.call(method, parameters.to_string().into_bytes()).await?;
        let date = answer.headers().get(DATE).and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
        let date = date.map(|date| date.timestamp());
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(CallError::Key),
            other => return Err(refusal(self.http.server, other, answer.body()).into()),
        }
        let answer = serde_json::from_slice(answer.body()).map_err(|error| BatchError::Unavailable {
            reason: format!("the answer cannot be parsed: {error}"),
            hint: Some(self.http.server.identity_hint()),
        })?;
        Ok((answer, date))
    }
}
