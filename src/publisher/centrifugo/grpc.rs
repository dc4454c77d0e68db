//! Centrifugo's gRPC API: one `Batch` call per batch, over one connection.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use secrecy::{ExposeSecret, SecretString};
use tonic::body::Body;
use tonic::client::Grpc as Client;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::http::{Request as HttpRequest, Response as HttpResponse, StatusCode};
use tonic::codegen::{Service, StdError};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status};

use super::call::CallError;
use super::{CONNECT_TIMEOUT, EXCERPT, Error, KEEPALIVE, TIMEOUT, all_replies, protobuf};
use crate::mapping::Publication;
use crate::publisher::{ApiServer, BatchDirective, BatchError, Reply, on_code, on_status};

const BATCH: PathAndQuery = PathAndQuery::from_static("/centrifugal.centrifugo.api.CentrifugoApi/Batch");

/// The gRPC API of a server.
#[derive(Debug)]
pub(super) struct Grpc {
    endpoint: Endpoint,
    authorization: MetadataValue<Ascii>,
    connection: Mutex<Connection>,
}

/// The connection, which is established by the first request and again after a failure.
#[derive(Debug, Default)]
struct Connection {
    /// The number of connections that were dropped before it.
    number: u64,
    /// `None` before the first request, and after the last connection was dropped.
    channel: Option<Channel>,
}

impl Grpc {
    /// Creates a client for the API at `url`.
    ///
    /// # Errors
    /// When the address or the key is invalid.
    pub(super) fn new(url: &str, api_key: &SecretString) -> Result<Self, Error> {
        let mut authorization: MetadataValue<Ascii> = format!("apikey {}", api_key.expose_secret())
            .parse()
            .map_err(|_| Error::ApiKey(ApiServer::Centrifugo))?;
        authorization.set_sensitive(true);
        let mut endpoint = Endpoint::from_shared(url.to_owned())
            .map_err(Error::GrpcUrl)?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_keepalive(Some(KEEPALIVE.0))
            .tcp_keepalive_interval(Some(KEEPALIVE.1))
            .tcp_keepalive_retries(Some(KEEPALIVE.2))
            .tcp_nodelay(true);
        if endpoint.uri().scheme_str() == Some("https") {
            let tls = ClientTlsConfig::new().with_native_roots();
            endpoint = endpoint.tls_config(tls).map_err(Error::GrpcUrl)?;
        }
        Ok(Self {
            endpoint,
            authorization,
            connection: Mutex::default(),
        })
    }

    /// See [`crate::publisher::Publisher::publish`].
    pub(super) async fn publish(&self, batch: &[&Publication]) -> Result<Vec<Reply>, BatchError> {
        let replies = self.send(protobuf::batch(batch)).await.map_err(Failure::into_batch)?;
        all_replies(ApiServer::Centrifugo, replies.into_replies(), batch.len())
    }

    /// Checks that the API answers and accepts the key, with an empty batch.
    ///
    /// # Errors
    /// When Centrifugo does not answer as expected.
    pub(super) async fn reach(&self) -> Result<(), CallError> {
        match self.send(Bytes::new()).await {
            Ok(_) => Ok(()),
            Err(Failure::Status(status)) if matches!(status.code(), Code::Unauthenticated | Code::PermissionDenied) => {
                Err(CallError::Key)
            }
            Err(failure) => Err(failure.into_batch().into()),
        }
    }

    async fn send(&self, body: Bytes) -> Result<protobuf::Replies, Failure> {
        let (number, channel) = self.channel();
        let mut client = Client::new(Checked(channel));
        let mut request = Request::new(body);
        request.metadata_mut().insert("authorization", self.authorization.clone());
        let answer = async {
            client.ready().await.map_err(|_| Failure::Unreachable)?;
            client.unary(request, BATCH, protobuf::Batch).await.map_err(Failure::from)
        };
        if let Ok(answer) = tokio::time::timeout(TIMEOUT, answer).await {
            return Ok(answer?.into_inner());
        }
        self.drop_connection(number);
        Err(Failure::Silent)
    }

    fn channel(&self) -> (u64, Channel) {
        let mut connection = self.lock();
        let channel = connection.channel.get_or_insert_with(|| self.endpoint.connect_lazy()).clone();
        (connection.number, channel)
    }

    /// Drops a connection, so that the next request opens another: if the peer is gone, it would stay silent until TCP times out. If
    /// another lane has already opened a new one, that stays.
    fn drop_connection(&self, number: u64) {
        let mut connection = self.lock();
        if connection.number == number {
            *connection = Connection {
                number: number + 1,
                channel: None,
            };
        }
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock()
    }
}

/// A channel that rejects answers other than gRPC by their HTTP status, before their bodies are parsed as messages.
#[derive(Clone, Debug)]
struct Checked(Channel);

/// The HTTP status of an answer that is not gRPC.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NotGrpc(StatusCode);

impl Service<HttpRequest<Body>> for Checked {
    type Response = HttpResponse<Body>;
    type Error = StdError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, StdError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), StdError>> {
        self.0.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: HttpRequest<Body>) -> Self::Future {
        let answer = self.0.call(request);
        Box::pin(async {
            let answer = answer.await?;
            match answer.status() {
                StatusCode::OK => Ok(answer),
                other => Err(NotGrpc(other).into()),
            }
        })
    }
}

/// Why a request has no answer.
enum Failure {
    Unreachable,
    Silent,
    /// The server's status, or that of a connection that broke meanwhile.
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
        // A status of the connection itself has a source and names addresses; a server's has none.
        if let Some(cause) = std::error::Error::source(&status) {
            return match (cause.downcast_ref(), status.code()) {
                (Some(NotGrpc(status)), _) if on_status(ApiServer::Centrifugo, status.as_u16()) == BatchDirective::Split => {
                    BatchError::Refused(status.to_string())
                }
                (Some(NotGrpc(status)), _) => unavailable(&format!("Centrifugo's gRPC API answered {status}")),
                (None, Code::Unavailable) => unavailable("Centrifugo's gRPC API cannot be reached"),
                (None, _) => unavailable("the connection to Centrifugo's gRPC API broke"),
            };
        }
        let message: String = status.message().chars().take(EXCERPT).collect();
        match on_code(status.code(), status.message()) {
            BatchDirective::Split => BatchError::Refused(message),
            BatchDirective::Retry { hint } => BatchError::Unavailable {
                reason: format!("Centrifugo's gRPC API answered {:?}: {message}", status.code()),
                hint,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use hyper::server::conn::http2;
    use hyper::service::service_fn;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use tokio::net::TcpListener;

    use super::*;

    /// The error of a request that a proxy answers with this status and a page.
    async fn answered(status: u16) -> BatchError {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (socket, _) = listener.accept().await.unwrap();
            let page = service_fn(move |_| async move {
                let answer = HttpResponse::builder().status(status).body("<html>no</html>".to_owned());
                Ok::<_, Infallible>(answer.unwrap())
            });
            let _ = http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(socket), page)
                .await;
        });
        let grpc = Grpc::new(&url, &"key".into()).unwrap();
        grpc.publish(&[]).await.unwrap_err()
    }

    #[tokio::test]
    async fn a_proxys_answer_without_grpc_is_handled_by_its_http_status() {
        assert!(matches!(answered(413).await, BatchError::Refused(_)));
        for status in [401, 429, 502] {
            let error = answered(status).await;
            assert!(matches!(error, BatchError::Unavailable { .. }), "{error:?}");
            assert!(error.to_string().contains(&status.to_string()), "{error}");
        }
    }
}
