//! Centrifugo's gRPC API: one `Batch` a batch, over one connection.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::uri::PathAndQuery;
use secrecy::{ExposeSecret, SecretString};
use tonic::client::Grpc as Client;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status};

use super::super::{BatchDirective, BatchError, Reply, on_code};
use super::call::CallError;
use super::{CONNECT_TIMEOUT, EXCERPT, Error, TIMEOUT, all_replies, protobuf};
use crate::mapping::Publication;

const BATCH: PathAndQuery = PathAndQuery::from_static("/centrifugal.centrifugo.api.CentrifugoApi/Batch");

/// The gRPC API of a server.
#[derive(Debug)]
pub(super) struct Grpc {
    endpoint: Endpoint,
    authorization: MetadataValue<Ascii>,
    /// The connection, which comes up with the first request and again after a failure. None: it is not to be trusted.
    channel: Mutex<Option<Channel>>,
}

impl Grpc {
    /// # Errors
    /// When the address or the key is none.
    pub(super) fn new(url: &str, api_key: &SecretString) -> Result<Self, Error> {
        let mut authorization: MetadataValue<Ascii> = format!("apikey {}", api_key.expose_secret())
            .parse()
            .map_err(|_| Error::ApiKey)?;
        authorization.set_sensitive(true);
        let mut endpoint = Endpoint::from_shared(url.to_owned())
            .map_err(Error::GrpcUrl)?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true);
        if url.starts_with("https:") {
            let tls = ClientTlsConfig::new().with_native_roots();
            endpoint = endpoint.tls_config(tls).map_err(Error::GrpcUrl)?;
        }
        Ok(Self {
            endpoint,
            authorization,
            channel: Mutex::new(None),
        })
    }

    /// See [`super::super::Publisher::publish`].
    pub(super) async fn publish(&self, batch: &[&Publication]) -> Result<Vec<Reply>, BatchError> {
        let replies = self.send(protobuf::batch(batch)).await.map_err(Failure::into_batch)?;
        all_replies(replies.into_replies(), batch.len())
    }

    /// Asks whether it is there and takes the key, by a batch of nothing.
    ///
    /// # Errors
    /// When it does not answer as it should.
    pub(super) async fn reach(&self) -> Result<(), CallError> {
        match self.send(Bytes::new()).await {
            Ok(_) => Ok(()),
            Err(Failure::Status(status)) if status.code() == Code::Unauthenticated => Err(CallError::Key),
            Err(failure) => Err(failure.into_batch().into()),
        }
    }

    async fn send(&self, body: Bytes) -> Result<protobuf::Replies, Failure> {
        let mut client = Client::new(self.channel());
        let mut request = Request::new(body);
        request.metadata_mut().insert("authorization", self.authorization.clone());
        let answer = async {
            client.ready().await.map_err(|_| Failure::Unreachable)?;
            client.unary(request, BATCH, protobuf::Batch).await.map_err(Failure::from)
        };
        if let Ok(answer) = tokio::time::timeout(TIMEOUT, answer).await {
            return Ok(answer?.into_inner());
        }
        // A connection whose other end has gone away would stay silent for as long as TCP has patience; the next request opens another.
        *self.lock() = None;
        Err(Failure::Silent)
    }

    fn channel(&self) -> Channel {
        self.lock().get_or_insert_with(|| self.endpoint.connect_lazy()).clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Channel>> {
        self.channel.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a request has no answer.
enum Failure {
    Unreachable,
    Silent,
    /// The server's, or what became of the connection meanwhile.
    Status(Status),
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

impl Failure {
    fn into_batch(self) -> BatchError {
        let unavailable = |reason: &str| BatchError::Unavailable {
            reason: reason.to_owned(),
            hint: None,
        };
        let status = match self {
            Self::Unreachable => return unavailable("Centrifugo's gRPC API cannot be reached"),
            Self::Silent => return unavailable("Centrifugo's gRPC API did not answer in time"),
            Self::Status(status) => status,
        };
        // A status of the connection's own names addresses and errors of the system, a server's has no cause.
        if std::error::Error::source(&status).is_some() {
            return unavailable(match status.code() {
                Code::Unavailable => "Centrifugo's gRPC API cannot be reached",
                _ => "the connection to Centrifugo's gRPC API broke",
            });
        }
        let message: String = status.message().chars().take(EXCERPT).collect();
        match on_code(status.code()) {
            BatchDirective::Split => BatchError::Refused(message),
            BatchDirective::Retry { hint } => BatchError::Unavailable {
                reason: format!("Centrifugo's gRPC API answered {:?}: {message}", status.code()),
                hint,
            },
        }
    }
}
