//! The real Centrifugo on free ports, with the features that the tests need.

use std::path::PathBuf;
use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::support::postgres::free_port;
use crate::support::process::memory;
use crate::support::wait::{SOON, eventually};
use crate::support::{cache, tether};

/// A running server, killed when dropped. Its memory engine loses everything at `stop`.
pub(crate) struct Centrifugo {
    /// The base URL of its HTTP API, for `[centrifugo] url`.
    pub(crate) url: String,
    /// The key of its APIs.
    pub(crate) api_key: String,
    /// The URL of its gRPC API, if that is enabled.
    #[allow(dead_code, reason = "the benchmarks configure it themselves")]
    pub(crate) grpc_url: String,
    /// The URL for WebSocket clients.
    pub(crate) ws_url: String,
    folder: Option<TempDir>,
    http: reqwest::Client,
    child: Option<Child>,
}

impl Centrifugo {
    /// Starts a server where everyone may subscribe to any channel, users to their own `#ID` channel, and where `room:…` has history.
    pub(crate) async fn start_new() -> Self {
        Self::with(json!({})).await
    }

    /// The same, with these top-level parts of its configuration in place of the usual ones.
    pub(crate) async fn with(changes: Value) -> Self {
        let port = free_port();
        let mut config = json!({
            "http_server": { "address": "127.0.0.1", "port": port },
            "http_api": { "key": "an api key" },
            "grpc_api": { "enabled": true, "address": "127.0.0.1", "port": free_port(), "key": "an api key" },
            "client": {
                "allowed_origins": ["*"],
                "queue_max_size": 64 << 20,
                "allow_anonymous_connect_without_token": true,
                "token": { "hmac_secret_key": "a token secret" },
            },
            "channel": {
                "without_namespace": {
                    "allow_subscribe_for_client": true,
                    "allow_subscribe_for_anonymous": true,
                    "allow_user_limited_channels": true,
                },
                "namespaces": [{
                    "name": "room",
                    "allow_subscribe_for_client": true,
                    "allow_subscribe_for_anonymous": true,
                    "history_size": 1000,
                    "history_ttl": "300s",
                }],
            },
            "health": { "enabled": true },
        });
        config.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        Self::configured(&config).await
    }

    /// Starts a server with this configuration, which contains its port and API key.
    pub(crate) async fn configured(config: &Value) -> Self {
        let port = &config["http_server"]["port"];
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        let mut server = Self {
            url: format!("http://127.0.0.1:{port}"),
            api_key: config["http_api"]["key"].as_str().unwrap().to_owned(),
            grpc_url: format!("http://127.0.0.1:{}", config["grpc_api"]["port"]),
            ws_url: format!("ws://127.0.0.1:{port}/connection/websocket"),
            folder: Some(folder),
            http: reqwest::Client::new(),
            child: None,
        };
        server.start().await;
        server
    }

    /// A handle for a running server with the same protocols.
    pub(crate) fn at(url: &str, api_key: &str) -> Self {
        Self {
            url: url.to_owned(),
            api_key: api_key.to_owned(),
            grpc_url: String::new(),
            ws_url: format!("{}/connection/websocket", url.replace("http://", "ws://")),
            folder: None,
            http: reqwest::Client::new(),
            child: None,
        }
    }

    /// Starts it again after [`Centrifugo::stop`], on the same port, and waits until it is healthy.
    pub(crate) async fn start(&mut self) {
        let child = tether::command(program())
            .arg("--config")
            .arg(self.config())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
        let health = format!("{}/health", self.url);
        eventually(SOON, "a healthy Centrifugo", async || {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "Centrifugo has ended: {ended:?}");
            self.http
                .get(&health)
                .send()
                .await
                .ok()
                .filter(|reply| reply.status().is_success())
        })
        .await;
    }

    /// Kills it: open connections are reset, nothing is flushed.
    pub(crate) async fn stop(&mut self) {
        tether::kill(&mut self.child.take().expect("Centrifugo runs")).await;
    }

    /// Sends a signal by name: TERM, as a service manager does, STOP, CONT.
    pub(crate) async fn signal(&self, name: &str) {
        let pid = self.id().to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status().await.unwrap();
        assert!(status.success());
    }

    /// Its resident memory, in bytes.
    #[allow(dead_code, reason = "the benchmarks use it")]
    pub(crate) fn memory(&self) -> u64 {
        memory(self.id(), "VmRSS:").expect("Linux says it")
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.as_ref().and_then(Child::id).expect("Centrifugo runs")
    }

    /// Calls a method of the HTTP API and returns its answer.
    pub(crate) async fn call(&self, method: &str, parameters: &Value) -> Value {
        let request = self
            .http
            .post(format!("{}/api/{method}", self.url))
            .header("X-API-Key", &self.api_key);
        let reply = request.json(parameters).send().await.unwrap().error_for_status().unwrap();
        reply.json().await.unwrap()
    }

    /// Publishes to a channel.
    pub(crate) async fn publish(&self, channel: &str, data: &Value) {
        let reply = self.call("publish", &json!({ "channel": channel, "data": data })).await;
        assert!(reply.get("error").is_none(), "{reply}");
    }

    /// Issues a connection token for a user.
    pub(crate) async fn token(&self, user: &str) -> String {
        let mut command = Command::new(program());
        let output = command
            .args(["gentoken", "--quiet", "--user", user, "--config"])
            .arg(self.config())
            .output()
            .await
            .unwrap();
        assert!(
            output.status.success(),
            "gentoken: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn config(&self) -> PathBuf {
        self.folder.as_ref().expect("it was started here").path().join("config.json")
    }
}

fn program() -> PathBuf {
    cache::path("centrifugo-6.9.1")
}
