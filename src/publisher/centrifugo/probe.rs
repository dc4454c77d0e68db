//! Questions to Centrifugo that change nothing: is it there, does it take the key, does it know a channel's namespace.

use jiff::Timestamp;
use reqwest::StatusCode;
use reqwest::header::DATE;
use serde::Deserialize;
use serde_json::json;

use super::super::{BatchError, Rejection};
use super::{Centrifugo, refusal, unavailable};

/// The code of a channel whose namespace is not configured.
const UNKNOWN_CHANNEL: i32 = 102;

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The server is there, and does not take the key.
    #[error("Centrifugo does not accept the key")]
    Key,
    /// It is not there, or is no Centrifugo.
    #[error(transparent)]
    Other(#[from] BatchError),
}

/// The answer to any of the questions; its result says nothing that is needed.
#[derive(Deserialize)]
struct Answer {
    error: Option<Rejection>,
}

impl Centrifugo {
    /// Asks whether it is there and takes the key; returns its clock, to the second.
    ///
    /// # Errors
    /// When it does not answer as it should.
    pub async fn clock(&self) -> Result<Option<Timestamp>, ProbeError> {
        let (_, date) = self.ask("info", &json!({})).await?;
        Ok(date)
    }

    /// Whether the namespace of `channel` is configured. It asks for none of the channel's history.
    ///
    /// # Errors
    /// When it does not answer as it should.
    pub async fn knows(&self, channel: &str) -> Result<bool, ProbeError> {
        let (answer, _) = self.ask("history", &json!({ "channel": channel, "limit": 0 })).await?;
        Ok(answer.error.is_none_or(|error| error.code != UNKNOWN_CHANNEL))
    }

    async fn ask(&self, method: &str, parameters: &serde_json::Value) -> Result<(Answer, Option<Timestamp>), ProbeError> {
        let endpoint = format!("{}/{method}", self.endpoint.trim_end_matches("/batch"));
        let response = self.client.post(endpoint).body(parameters.to_string()).send().await;
        let response = response.map_err(|error| unavailable(&error))?;
        let status = response.status();
        let date = response.headers().get(DATE).and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
        let date = date.map(|date| date.timestamp());
        let body = response.bytes().await.map_err(|error| unavailable(&error))?;
        match status {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(ProbeError::Key),
            other => return Err(refusal(other, &body).into()),
        }
        let answer = serde_json::from_slice(&body).map_err(|error| BatchError::Unavailable {
            reason: format!("the answer cannot be read: {error}"),
            hint: Some("is `[centrifugo] url` really Centrifugo?"),
        })?;
        Ok((answer, date))
    }
}
