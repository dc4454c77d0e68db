//! Centrifugo: one request a batch, over its HTTP API or its gRPC API. The hub of another process has the same HTTP API.

mod call;
mod cut;
mod grpc;
mod http;
mod probe;
mod protobuf;

use std::time::Duration;

use hyper::StatusCode;
use secrecy::SecretString;
use serde::Deserialize;

use super::{BatchDirective, BatchError, Publisher, Rejection, Reply, Side, on_status};
use crate::config;
use crate::mapping::Publication;
use grpc::Grpc;
use http::Http;

pub use call::CallError;
pub use probe::Counts;

/// Centrifugo closes a request's connection after 10 s of writing and 30 s of reading; no answer after this is no answer.
const TIMEOUT: Duration = Duration::from_secs(15);
/// How long a connection may take to come up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection that nothing comes through is tried first after so long, then so often, and given up after so many tries without an
/// answer. Over gRPC the server forbids HTTP/2's own pings between requests.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(15), Duration::from_secs(5), 3);
/// What a reply says about a failure is kept to this many characters.
const EXCERPT: usize = 200;

/// A Centrifugo server, or a hub.
#[derive(Debug)]
pub struct Centrifugo {
    http: Http,
    /// Where publications go instead of the HTTP API, which answers everything else.
    grpc: Option<Grpc>,
}

/// A configuration that no request can be made with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The key cannot stand in a header.
    #[error("`{}` holds characters that an HTTP header cannot carry", .0.api_key())]
    ApiKey(Side),
    /// Nothing can be asked.
    #[error("`{}` is no URL that can be asked", .0.url())]
    Url(Side),
    /// Nothing can be encrypted.
    #[error("the certificates of the authorities that this system trusts cannot be read")]
    Certificates(#[source] std::io::Error),
    /// Nothing can be connected to.
    #[error("`[centrifugo] grpc_url` is no address that can be connected to")]
    GrpcUrl(#[source] tonic::transport::Error),
}

impl Centrifugo {
    /// A client for the HTTP API of `side` at `url`, without `/api`.
    ///
    /// # Errors
    /// When no request can be made with them.
    pub fn new(side: Side, url: &str, api_key: &SecretString) -> Result<Self, Error> {
        Ok(Self {
            http: Http::new(side, url, api_key)?,
            grpc: None,
        })
    }

    /// A client for the server that `[centrifugo]` names.
    ///
    /// # Errors
    /// When no request can be made with what it says.
    pub fn configured(server: &config::Centrifugo) -> Result<Self, Error> {
        let grpc = server
            .grpc_url
            .as_ref()
            .map(|url| Grpc::new(url, &server.api_key))
            .transpose()?;
        Ok(Self {
            grpc,
            ..Self::new(Side::Centrifugo, &server.url, &server.api_key)?
        })
    }
}

impl Publisher for Centrifugo {
    async fn publish(&self, batch: &[&Publication]) -> Result<Vec<Reply>, BatchError> {
        if let Some(grpc) = &self.grpc {
            return grpc.publish(batch).await;
        }
        let side = self.http.side;
        let answer = self.http.batch(encode(batch)).await?;
        if answer.status() != StatusCode::OK {
            return Err(refusal(side, answer.status(), answer.body()));
        }
        let Batch { replies } = serde_json::from_slice(answer.body()).map_err(|error| BatchError::Unavailable {
            reason: format!("the reply of {} cannot be read: {error}", side.name()),
            hint: Some(side.doubt()),
        })?;
        let replies = replies.into_iter().map(|reply| reply.error.map_or(Ok(()), Err)).collect();
        all_replies(side, replies, batch.len())
    }
}

/// The replies, if there are as many as publications.
fn all_replies(side: Side, replies: Vec<Reply>, publications: usize) -> Result<Vec<Reply>, BatchError> {
    if replies.len() == publications {
        return Ok(replies);
    }
    let reason = format!(
        "{} sent {} replies to {publications} publications",
        side.name(),
        replies.len()
    );
    Err(BatchError::Unavailable { reason, hint: None })
}

/// `{"commands":[{"publish":{"channel":…,"idempotency_key":…,"data":EVENT}},…]}`; a batch runs in order unless it says otherwise.
fn encode(batch: &[&Publication]) -> Vec<u8> {
    let size = batch
        .iter()
        .map(|publication| publication.event.len() + publication.channel.len() + 96)
        .sum();
    let mut body = Vec::with_capacity(size);
    body.extend_from_slice(b"{\"commands\":[");
    for (index, publication) in batch.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        body.extend_from_slice(b"{\"publish\":{\"channel\":");
        // Writing to a Vec cannot fail, and a string always has a JSON form.
        let _ = serde_json::to_writer(&mut body, &*publication.channel);
        body.extend_from_slice(b",\"idempotency_key\":");
        if let Some(key) = &publication.key {
            let _ = serde_json::to_writer(&mut body, &**key);
        } else {
            body.push(b'"');
            publication.origin.write_key(&mut body);
            body.push(b'"');
        }
        body.extend_from_slice(b",\"data\":");
        body.extend_from_slice(&publication.event);
        body.extend_from_slice(b"}}");
    }
    body.extend_from_slice(b"]}");
    body
}

/// What a status other than 200 means.
fn refusal(side: Side, status: StatusCode, body: &[u8]) -> BatchError {
    let text = String::from_utf8_lossy(body);
    let excerpt: String = text.trim().chars().take(EXCERPT).collect();
    match on_status(side, status.as_u16()) {
        BatchDirective::Split => BatchError::Refused(if excerpt.is_empty() { status.to_string() } else { excerpt }),
        BatchDirective::Retry { hint } => BatchError::Unavailable {
            reason: format!("{} answered {status}", side.name()),
            hint,
        },
    }
}

/// The answer to a batch; that to an empty one is empty.
#[derive(Deserialize)]
struct Batch {
    #[serde(default)]
    replies: Vec<CommandReply>,
}

/// The answer to one command of a batch; its result says nothing that is needed.
#[derive(Deserialize)]
struct CommandReply {
    error: Option<Rejection>,
}
