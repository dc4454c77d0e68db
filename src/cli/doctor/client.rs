//! Centrifugo as browsers see it: origins, proxies, cookies, the key of tokens.

use secrecy::SecretString;
use serde_json::{Value, json};

use super::Findings;
use super::browser::{Browser, OpenError, Refused};
use crate::access::{self, probe, token};
use crate::config::{Centrifugo, Config, Server};
use crate::publisher::code;

/// A page that does not exist: RFC 2606 reserves the top-level domain.
const STRANGER: &str = "https://instant-doctor.invalid";
/// Where Centrifugo's WebSocket is unless its configuration says otherwise.
const PATH: &str = "/connection/websocket";

/// What the probes share.
struct Probe<'a> {
    http: reqwest::Client,
    /// The address of the WebSocket, as one of HTTP.
    url: String,
    /// What Centrifugo calls.
    server: &'a Server,
    /// The secret that identifies it.
    secret: SecretString,
}

/// Connects to Centrifugo at `websocket`, or at `[centrifugo] url`, as browsers do. `channels` has one of each namespace.
pub(super) async fn look<'a>(
    websocket: Option<&str>,
    config: &Config,
    centrifugo: &Centrifugo,
    server: &Server,
    channels: impl Iterator<Item = &'a str>,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    let url = websocket.map_or_else(
        || format!("{}{PATH}", centrifugo.url.trim_end_matches('/')),
        |url| url.replacen("ws", "http", 1),
    );
    let http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .http1_only()
        .build()?;
    let probe = Probe {
        http,
        url,
        server,
        secret: token::proxy_secret(centrifugo),
    };
    if !probe.origins(findings).await {
        return Ok(());
    }
    if let Some(browser) = probe.proxies(findings).await? {
        probe.subscriptions(browser, channels, findings).await;
    }
    if let Some(key) = token::secret(config) {
        probe.token(&key, findings).await?;
    }
    Ok(())
}

impl Probe<'_> {
    /// Whether pages of the site may connect, and others may not; false if nothing more can be checked.
    async fn origins(&self, findings: &mut Findings) -> bool {
        const FIX: &str = "set Centrifugo's `client.allowed_origins` as `instant gen centrifugo` prints it";
        for origin in &self.server.allowed_origins {
            match Browser::open(&self.http, &self.url, Some(origin), "").await {
                Ok(_) => {}
                Err(OpenError::Origin) => findings.add(
                    "centrifugo-origin",
                    format!("Centrifugo refuses pages from {origin}, which `[server] allowed_origins` names"),
                    "client.allowed_origins",
                    FIX,
                ),
                Err(error) => {
                    findings.add(
                        "centrifugo-websocket",
                        format!("there is no WebSocket at {}: {error}", self.url),
                        &self.url,
                        "name the URL where browsers connect: instant doctor --websocket wss://…/connection/websocket",
                    );
                    return false;
                }
            }
        }
        if Browser::open(&self.http, &self.url, Some(STRANGER), "").await.is_ok() {
            findings.add(
                "centrifugo-origin",
                "Centrifugo allows pages of any site to connect, with the cookies of their visitors",
                "client.allowed_origins",
                FIX,
            );
        }
        true
    }

    fn origin(&self) -> Option<&str> {
        self.server.allowed_origins.first().map(String::as_str)
    }

    /// Whether Centrifugo asks Instant who connects, with the cookie; returns the connection if there is one.
    async fn proxies(&self, findings: &mut Findings) -> anyhow::Result<Option<Browser>> {
        let cookies = probe::header(&self.secret, access::now())?;
        let Ok(mut browser) = Browser::open(&self.http, &self.url, self.origin(), &cookies).await else {
            return Ok(None);
        };
        match browser.ask(1, "connect", json!({})).await {
            Ok(answer) if answer["data"][probe::COOKIE] == true => return Ok(Some(browser)),
            Ok(answer) if was_asked(&answer) => lost_cookie(findings),
            Err(Refused::Closed { code, .. }) if code == u32::from(code::NOT_LOGGED_IN) => lost_cookie(findings),
            Ok(_) => self.not_asked("it answers by itself", findings),
            Err(refused) => self.not_asked(&refused.to_string(), findings),
        }
        Ok(None)
    }

    fn not_asked(&self, said: &str, findings: &mut Findings) {
        let url = &self.server.url;
        findings.add(
            "centrifugo-proxy",
            format!("Centrifugo does not ask Instant at {url} who connects, or gets no answer: {said}"),
            "client.proxy.connect",
            "start `instant run` where Centrifugo reaches it at `[server] url`; set Centrifugo's proxies as `instant gen centrifugo` prints them",
        );
    }

    /// Whether Centrifugo asks Instant who subscribes, in each namespace.
    async fn subscriptions<'a>(&self, mut browser: Browser, channels: impl Iterator<Item = &'a str>, findings: &mut Findings) {
        for (channel, id) in channels.zip(2..) {
            let what = match browser.ask(id, "subscribe", json!({ "channel": channel })).await {
                Err(Refused::Error {
                    code: code::PERMISSION_DENIED,
                    ..
                }) => "refuses every subscription by itself".to_owned(),
                Err(Refused::Error {
                    code: code::UNKNOWN_CHANNEL,
                    ..
                })
                | Ok(_) => continue,
                Err(Refused::Error { code, .. }) if code >= code::REFUSED => continue,
                Err(refused) => format!("gets no answer from Instant: {refused}"),
            };
            findings.add(
                "centrifugo-subscribe",
                format!("Centrifugo {what}"),
                channel,
                "set `channel.proxy.subscribe`, and `subscribe_proxy_enabled` of the namespace, as `instant gen centrifugo` prints them",
            );
        }
    }

    /// Whether Centrifugo accepts tokens signed with `key`.
    async fn token(&self, key: &SecretString, findings: &mut Findings) -> anyhow::Result<()> {
        let token = probe::token(key, access::now())?;
        let Ok(mut browser) = Browser::open(&self.http, &self.url, self.origin(), "").await else {
            return Ok(());
        };
        if let Err(refused) = browser.ask(1, "connect", json!({ "token": token })).await {
            findings.add(
                "centrifugo-token",
                format!("Centrifugo does not accept a token signed with Instant's key: {refused}"),
                "client.token.hmac_secret_key",
                "set it as `instant gen centrifugo` prints it, or `[centrifugo] token_secret` to Centrifugo's",
            );
        }
        Ok(())
    }
}

/// Whether the answer to a connection is one of Instant's, which gives channels even to anonymous visitors.
fn was_asked(answer: &Value) -> bool {
    answer["subs"].as_object().is_some_and(|channels| !channels.is_empty())
}

fn lost_cookie(findings: &mut Findings) {
    findings.add(
        "centrifugo-cookie",
        "Centrifugo does not pass on the cookies of browsers: everyone is anonymous",
        "client.proxy.connect.http_headers",
        "add \"Cookie\" to the `http_headers` of Centrifugo's proxies, as `instant gen centrifugo` prints them",
    );
}
