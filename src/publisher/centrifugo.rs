//! Centrifugo: one request per batch, over its HTTP API or its gRPC API. The hub of another process has the same HTTP API.

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

use super::{ApiServer, BatchDirective, BatchError, Publisher, Rejection, Reply, on_status};
use crate::config;
use crate::mapping::Publication;
use grpc::Grpc;
use http::Http;

pub use call::CallError;
pub use probe::Counts;

/// How long a request may take. Centrifugo closes a request's connection after 10 s of writing and 30 s of reading; an answer after this
/// time is not waited for.
const TIMEOUT: Duration = Duration::from_secs(15);
/// How long a connection may take to establish.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// TCP keepalive: the idle time before the first probe, the interval between probes, and the unanswered probes after which a connection
/// is dropped. Over gRPC the server forbids HTTP/2's own pings between requests.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(15), Duration::from_secs(5), 3);
/// The most characters that are kept of a failure's message.
const EXCERPT: usize = 200;

/// A Centrifugo server, or a hub.
#[derive(Debug)]
pub struct Centrifugo {
    http: Http,
    /// The gRPC API for publications, if configured; everything else goes to the HTTP API.
    grpc: Option<Grpc>,
}

/// The error of a configuration that no request can be made with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The key is not valid in a header.
    #[error("`{}` contains characters that are not valid in an HTTP header", .0.api_key())]
    ApiKey(ApiServer),
    /// The URL is invalid.
    #[error("`{}` is not a valid HTTP URL", .0.url())]
    Url(ApiServer),
    /// TLS cannot be set up.
    #[error("the system's trusted certificates cannot be read")]
    Certificates(#[source] std::io::Error),
    /// The gRPC address is invalid.
    #[error("`[centrifugo] grpc_url` is not a valid address")]
    GrpcUrl(#[source] tonic::transport::Error),
}

impl Centrifugo {
    /// Creates a client for the HTTP API of `server` at `url`, without `/api`.
    ///
    /// # Errors
    /// When the URL or the key is invalid, or TLS cannot be set up.
    pub fn new(server: ApiServer, url: &str, api_key: &SecretString) -> Result<Self, Error> {
        Ok(Self {
            http: Http::new(server, url, api_key)?,
            grpc: None,
        })
    }

    /// Creates a client for the server in `[centrifugo]`.
    ///
    /// # Errors
    /// When an address or the key is invalid, or TLS cannot be set up.
    pub fn configured(server: &config::Centrifugo) -> Result<Self, Error> {
        let grpc = server
            .grpc_url
            .as_ref()
            .map(|url| Grpc::new(url, &server.api_key))
            .transpose()?;
        Ok(Self {
            grpc,
            ..Self::new(ApiServer::Centrifugo, &server.url, &server.api_key)?
        })
    }
}

impl Publisher for Centrifugo {
    async fn publish(&self, batch: &[&Publication]) -> Result<Vec<Reply>, BatchError> {
        if let Some(grpc) = &self.grpc {
            return grpc.publish(batch).await;
        }
        let server = self.http.server;
        let answer = self.http.batch(encode(batch)).await?;
        if answer.status() != StatusCode::OK {
            return Err(refusal(server, answer.status(), answer.body()));
        }
        let Batch { replies } = serde_json::from_slice(answer.body()).map_err(|error| BatchError::Unavailable {
            reason: format!("the reply of {} cannot be read: {error}", server.name()),
            hint: Some(server.identity_hint()),
        })?;
        let replies = replies.into_iter().map(|reply| reply.error.map_or(Ok(()), Err)).collect();
        all_replies(server, replies, batch.len())
    }
}

/// Returns the replies if there is one per publication.
fn all_replies(server: ApiServer, replies: Vec<Reply>, publications: usize) -> Result<Vec<Reply>, BatchError> {
    if replies.len() == publications {
        return Ok(replies);
    }
    let reason = format!(
        "{} sent {} replies to {publications} publications",
        server.name(),
        replies.len()
    );
    Err(BatchError::Unavailable { reason, hint: None })
}

/// Encodes `{"commands":[{"publish":{"channel":…,"idempotency_key":…,"data":EVENT}},…]}`.
/// A batch runs in order unless it says otherwise.
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

/// The error for a status other than 200.
fn refusal(server: ApiServer, status: StatusCode, body: &[u8]) -> BatchError {
    let text = String::from_utf8_lossy(body);
    let excerpt: String = text.trim().chars().take(EXCERPT).collect();
    match on_status(server, status.as_u16()) {
        BatchDirective::Split => BatchError::Refused(if excerpt.is_empty() { status.to_string() } else { excerpt }),
        BatchDirective::Retry { hint } => BatchError::Unavailable {
            reason: format!("{} answered {status}", server.name()),
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

/// The answer to one command of a batch; its result is not needed.
#[derive(Deserialize)]
struct CommandReply {
    error: Option<Rejection>,
}
