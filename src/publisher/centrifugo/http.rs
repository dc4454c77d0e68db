//! Centrifugo's HTTP API, which is also the hub's: one POST per call, over pooled connections.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Request, Response, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use percent_encoding::percent_decode_str;
use reqwest::Url;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use secrecy::{ExposeSecret, SecretString};

use super::{CONNECT_TIMEOUT, Error, KEEPALIVE, TIMEOUT};
use crate::publisher::{ApiServer, BatchError};

/// How long an idle connection is kept. Centrifugo closes connections after 30 s; ours are dropped before, so that no request uses a
/// closing one.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(20);
/// The largest answer in bytes. Those to the 200 publications of a request have a fraction of it.
const LARGEST_ANSWER: usize = 1 << 20;

/// A connector with one timeout for DNS lookup, connection and TLS handshake together.
type Connector = TimeoutConnector<HttpsConnector<HttpConnector>>;

/// The HTTP API of a server.
#[derive(Debug)]
pub(super) struct Http {
    /// The server that answers.
    pub(super) server: ApiServer,
    client: Client<Connector, Full<Bytes>>,
    /// The URL of a method, without its name.
    base: String,
    /// The URL of the method for publications.
    batch: Uri,
    /// The headers of each request.
    headers: HeaderMap,
}

impl Http {
    /// Creates a client for `server` at `url`, without `/api`.
    ///
    /// # Errors
    /// When the URL or the key is invalid, or the system's certificates cannot be read.
    pub(super) fn new(server: ApiServer, url: &str, api_key: &SecretString) -> Result<Self, Error> {
        let mut url: Url = format!("{}/api/", url.trim_end_matches('/'))
            .parse()
            .map_err(|_| Error::Url(server))?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert("X-API-Key", secret(api_key.expose_secret()).ok_or(Error::ApiKey(server))?);
        if let Some(login) = login(&url) {
            headers.insert(AUTHORIZATION, secret(&login).ok_or(Error::Url(server))?);
            url.set_username("").map_err(|()| Error::Url(server))?;
            url.set_password(None).map_err(|()| Error::Url(server))?;
        }
        let base = String::from(url);
        Ok(Self {
            server,
            client: Client::builder(TokioExecutor::new())
                .pool_idle_timeout(POOL_IDLE_TIMEOUT)
                .pool_timer(TokioTimer::new())
                .build(connector(base.starts_with("https:"))?),
            batch: format!("{base}batch").parse().map_err(|_| Error::Url(server))?,
            base,
            headers,
        })
    }

    /// Sends a batch of commands.
    pub(super) async fn batch(&self, body: Vec<u8>) -> Result<Response<Bytes>, BatchError> {
        self.post(self.batch.clone(), body).await
    }

    /// Calls a method.
    pub(super) async fn call(&self, method: &str, body: Vec<u8>) -> Result<Response<Bytes>, BatchError> {
        let uri = format!("{}{method}", self.base).parse().map_err(|_| self.broken())?;
        self.post(uri, body).await
    }

    async fn post(&self, uri: Uri, body: Vec<u8>) -> Result<Response<Bytes>, BatchError> {
        let mut request = Request::new(Full::from(body));
        *request.method_mut() = hyper::Method::POST;
        *request.uri_mut() = uri;
        *request.headers_mut() = self.headers.clone();
        let answer = async {
            let response = self.client.request(request).await.map_err(|error| {
                if error.is_connect() {
                    unavailable(self.server.unreachable(), self.server.start_hint())
                } else {
                    self.broken()
                }
            })?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, LARGEST_ANSWER).collect().await.map_err(|error| {
                if error.is::<LengthLimitError>() {
                    self.too_large()
                } else {
                    self.broken()
                }
            })?;
            Ok(Response::from_parts(head, body.to_bytes()))
        };
        tokio::time::timeout(TIMEOUT, answer)
            .await
            .unwrap_or_else(|_| Err(unavailable(&format!("{} did not answer in time", self.server.name()), None)))
    }

    fn too_large(&self) -> BatchError {
        let reason = format!("the answer has more than {LARGEST_ANSWER} bytes");
        unavailable(&reason, Some(self.server.identity_hint()))
    }

    fn broken(&self) -> BatchError {
        unavailable(&format!("the connection to {} broke", self.server.name()), None)
    }
}

/// Creates a connector, with TLS and the system's trusted authorities if the URL asks for it.
fn connector(is_encrypted: bool) -> Result<Connector, Error> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(KEEPALIVE.0));
    tcp.set_keepalive_interval(Some(KEEPALIVE.1));
    tcp.set_keepalive_retries(Some(KEEPALIVE.2));
    let builder = HttpsConnectorBuilder::new();
    let builder = if is_encrypted {
        builder
            .with_provider_and_platform_verifier(ring::default_provider())
            .map_err(Error::Certificates)?
    } else {
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Certificates(std::io::Error::other(error)))?;
        let config = config.with_root_certificates(RootCertStore::empty());
        builder.with_tls_config(config.with_no_client_auth())
    };
    let mut connector = TimeoutConnector::new(builder.https_or_http().enable_http1().wrap_connector(tcp));
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    Ok(connector)
}

/// The value of the `Authorization` header for a name and a password in the URL.
fn login(url: &Url) -> Option<String> {
    let decoded = |text: &str| percent_decode_str(text).collect::<Vec<u8>>();
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let mut login = decoded(url.username());
    login.push(b':');
    login.extend(decoded(url.password().unwrap_or_default()));
    Some(format!("Basic {}", STANDARD.encode(login)))
}

fn secret(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The error of a request without a complete answer. The text names no URL, since a URL may contain a password.
fn unavailable(reason: &str, hint: Option<&'static str>) -> BatchError {
    BatchError::Unavailable {
        reason: reason.to_owned(),
        hint,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(url: &str) -> Http {
        Http::new(ApiServer::Centrifugo, url, &"a key".into()).unwrap()
    }

    #[test]
    fn a_path_is_kept_and_a_name_with_its_password_becomes_a_header() {
        let http = http("HTTP://me:p%20w@[::1]:8000/live/");
        assert_eq!(http.base, "http://[::1]:8000/live/api/");
        assert_eq!(http.batch, "http://[::1]:8000/live/api/batch");
        assert_eq!(http.headers[AUTHORIZATION], "Basic bWU6cCB3");
    }

    #[test]
    fn no_secret_is_shown() {
        let shown = format!("{:?}", http("http://me:password@localhost:8000"));
        for secret in ["a key", "password", "Basic"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }

    #[test]
    fn an_invalid_url_is_refused() {
        for (server, key) in [
            (ApiServer::Centrifugo, "`[centrifugo] url`"),
            (ApiServer::Hub, "`[server] url`"),
        ] {
            let refused = Http::new(server, "http://:8000", &"a key".into()).unwrap_err();
            assert!(refused.to_string().starts_with(key), "{refused}");
        }
    }
}
