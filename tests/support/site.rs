//! A Django site with Instant and either Centrifugo, configured by `gen centrifugo`, or Instant's own hub.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::support::centrifugo::Centrifugo;
use crate::support::django::Django;
use crate::support::postgres::{free_port, versions};
use crate::support::process::{Process, instant};
use crate::support::wait::{SOON, within};

/// The origin of the site's pages.
pub(crate) const ORIGIN: &str = "http://shop.example";

/// Python functions that log in through Django's own view.
const PYTHON: &str = "
from django.test import Client
from django.test.utils import override_settings
from django.contrib.sessions.models import Session

def user(name, **options):
    return User.objects.create_user(name, password='secret', **options)

def login(name):
    client = Client(SERVER_NAME='localhost')
    answer = client.post('/accounts/login/', {'username': name, 'password': 'secret'})
    assert answer.status_code == 302, answer.status_code
    return client

def cookie(client):
    return client.cookies['sessionid'].value
";

/// A running site.
pub(crate) struct Site {
    pub(crate) django: Django,
    /// Centrifugo, or the hub, whose API and socket are the same.
    pub(crate) centrifugo: Centrifugo,
    pub(crate) instant: Process,
    /// The URL of Instant's server.
    pub(crate) url: String,
    /// The port of localhost whose pages may connect, in addition to those of [`ORIGIN`].
    pub(crate) pages: u16,
    pub(crate) folder: TempDir,
    pub(crate) http: reqwest::Client,
}

impl Site {
    /// Starts the site on this version of PostgreSQL, with these lines at the end of `instant.toml`.
    pub(crate) async fn start(version: u32, toml: &str) -> Self {
        Self::of(Django::on(version).await, toml).await
    }

    /// The same on every version with Centrifugo, and on the newest with the hub.
    pub(crate) async fn everywhere(toml: &str) -> Vec<Self> {
        let mut sites = Vec::new();
        for version in versions() {
            sites.push(Self::start(version, toml).await);
        }
        sites.push(Self::on_hub(18, toml).await);
        sites
    }

    /// The same with Centrifugo and with the hub.
    pub(crate) async fn both(toml: &str) -> [Self; 2] {
        [Self::start(18, toml).await, Self::on_hub(18, toml).await]
    }

    /// The same for an existing Django project.
    pub(crate) async fn of(django: Django, toml: &str) -> Self {
        let port = free_port();
        let centrifugo = format!("[centrifugo]\nurl = 'http://127.0.0.1:{port}'\napi_key = 'an api key'\n");
        let database = django.database.url.clone();
        let (folder, django, url, pages) = Self::prepare(django, &database, &centrifugo, toml).await;
        let made = instant(folder.path(), &["gen", "centrifugo"], &[]).await;
        let made: Value = serde_json::from_slice(&made.stdout).unwrap();
        let centrifugo = Centrifugo::configured(&made).await;
        Self::run(folder, django, centrifugo, (url, pages)).await
    }

    /// Starts the site on this version of PostgreSQL, whose browsers connect to the hub.
    pub(crate) async fn on_hub(version: u32, toml: &str) -> Self {
        Self::on_hub_with(version, "", toml).await
    }

    /// The same with these lines in `[hub]`.
    pub(crate) async fn on_hub_with(version: u32, hub: &str, toml: &str) -> Self {
        let django = Django::on(version).await;
        let database = django.database.url.clone();
        Self::on_hub_at(django, &database, hub, toml).await
    }

    /// The same for an existing Django project, with this URL of its database.
    pub(crate) async fn on_hub_at(django: Django, database: &str, hub: &str, toml: &str) -> Self {
        let hub = format!("[hub]\napi_key = 'an api key'\n{hub}");
        let (folder, django, url, pages) = Self::prepare(django, database, &hub, toml).await;
        let hub = Centrifugo::at(&url, "an api key");
        Self::run(folder, django, hub, (url, pages)).await
    }

    /// Writes `instant.toml` and applies it.
    async fn prepare(django: Django, database: &str, server: &str, toml: &str) -> (TempDir, Django, String, u16) {
        django.run(PYTHON).await;
        let folder = tempfile::tempdir().unwrap();
        let (own, pages) = (free_port(), free_port());
        let config = format!(
            "[database]\nurl = '{database}'\n{server}[server]\nlisten = '127.0.0.1:{own}'\nallowed_origins = ['{ORIGIN}', 'http://localhost:{pages}']\n\
             [django]\nsecret_key = 'a key for tests and demos'\nsecret_key_fallbacks = ['an old key']\n{toml}"
        );
        std::fs::write(folder.path().join("instant.toml"), config).unwrap();
        let applied = instant(folder.path(), &["apply"], &[]).await;
        assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
        (folder, django, format!("http://127.0.0.1:{own}"), pages)
    }

    async fn run(folder: TempDir, django: Django, centrifugo: Centrifugo, (url, pages): (String, u16)) -> Self {
        let instant = Process::instant(folder.path(), &["run"], &[]);
        instant.line("leading", SOON).await;
        Self {
            django,
            centrifugo,
            instant,
            url,
            pages,
            folder,
            http: reqwest::Client::new(),
        }
    }

    /// Runs Python, and returns what it prints without the trailing line break.
    pub(crate) async fn python(&self, code: &str) -> String {
        self.django.run(code).await.trim_end().to_owned()
    }

    /// Creates a user of this name, and returns its session cookie.
    pub(crate) async fn new_user(&self, name: &str) -> String {
        self.python(&format!("user('{name}')\nprint(cookie(login('{name}')))")).await
    }

    /// Whether Instant answers Centrifugo's proxy requests here.
    pub(crate) fn has_proxies(&self) -> bool {
        self.url != self.centrifugo.url
    }

    /// Posts to Instant as Centrifugo would.
    pub(crate) async fn ask(&self, path: &str, cookie: &str, body: &Value) -> (u16, Value) {
        let request = self.http.post(format!("{}/centrifugo/{path}", self.url));
        let request = request.header("X-Instant-Secret", self.secret()).header("Cookie", cookie);
        let reply = request.json(body).send().await.unwrap();
        (reply.status().as_u16(), reply.json().await.unwrap_or_default())
    }

    /// The value of the header that authenticates Centrifugo.
    pub(crate) fn secret(&self) -> String {
        let (config, _) = instant::config::load(&self.folder.path().join("instant.toml")).unwrap();
        let secret = instant::access::token::proxy_secret(config.centrifugo.as_ref().unwrap());
        secrecy::ExposeSecret::expose_secret(&secret).to_owned()
    }
}

/// A page of the site: a WebSocket with a browser's headers, and Centrifugo's protocol in JSON.
///
/// It reads continuously and answers pings, as a browser does.
pub(crate) struct Browser {
    commands: mpsc::UnboundedSender<Message>,
    /// The received messages except pings; the error is the close code.
    messages: mpsc::UnboundedReceiver<Result<Value, u64>>,
    /// The channels that the server subscribed it to, sorted.
    pub(crate) channels: Vec<String>,
    /// The server's id of the connection.
    pub(crate) client: String,
    /// Messages that arrived while waiting for an answer.
    pushes: Vec<Value>,
    last_id: u32,
}

impl Browser {
    /// Connects with a session cookie.
    pub(crate) async fn open(site: &Site, cookie: &str) -> Self {
        Self::try_open(site, cookie, json!({})).await.unwrap()
    }

    /// Connects; the error is the close code or the code of the answer.
    pub(crate) async fn try_open(site: &Site, cookie: &str, connect: Value) -> Result<Self, u64> {
        Self::of_page(&site.centrifugo, ORIGIN, cookie, connect).await
    }

    /// The same for a page of any origin.
    pub(crate) async fn of_page(server: &Centrifugo, origin: &str, cookie: &str, connect: Value) -> Result<Self, u64> {
        let cookie = if cookie.is_empty() {
            String::new()
        } else {
            format!("other=1; sessionid={cookie}")
        };
        Self::with_headers(server, &[("origin", origin), ("cookie", &cookie)], connect).await
    }

    /// The same with these headers; empty ones are omitted.
    pub(crate) async fn with_headers(server: &Centrifugo, headers: &[(&'static str, &str)], connect: Value) -> Result<Self, u64> {
        let mut request = server.ws_url.as_str().into_client_request().unwrap();
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let (socket, _) = within(SOON, "a WebSocket", tokio_tungstenite::connect_async(request))
            .await
            .unwrap();
        let (commands, outgoing) = mpsc::unbounded_channel();
        let (incoming, messages) = mpsc::unbounded_channel();
        tokio::spawn(drive(socket, outgoing, incoming));
        let mut browser = Self {
            commands,
            messages,
            channels: Vec::new(),
            client: String::new(),
            pushes: Vec::new(),
            last_id: 0,
        };
        let answer = browser.command("connect", connect).await?;
        let subscriptions = answer["subs"].as_object().cloned().unwrap_or_default();
        browser.channels = subscriptions.keys().cloned().collect();
        browser.channels.sort();
        answer["client"].as_str().unwrap().clone_into(&mut browser.client);
        Ok(browser)
    }

    /// Subscribes to a channel; the error is the code of the answer.
    pub(crate) async fn subscribe(&mut self, channel: &str) -> Result<(), u64> {
        self.command("subscribe", json!({ "channel": channel })).await.map(drop)
    }

    /// Unsubscribes from a channel.
    pub(crate) async fn unsubscribe(&mut self, channel: &str) {
        self.command("unsubscribe", json!({ "channel": channel })).await.unwrap();
    }

    /// Subscribes to a channel with a token; the error is the code of the answer or the close code.
    pub(crate) async fn subscribe_with(&mut self, channel: &str, token: &str) -> Result<(), u64> {
        let ask = json!({ "channel": channel, "token": token });
        self.command("subscribe", ask).await.map(drop)
    }

    /// Refreshes the connection with another token; the error is the code of the answer or the close code.
    pub(crate) async fn refresh(&mut self, token: &str) -> Result<(), u64> {
        self.command("refresh", json!({ "token": token })).await.map(drop)
    }

    /// Sends a command and waits for its answer.
    async fn command(&mut self, name: &str, parameters: Value) -> Result<Value, u64> {
        self.last_id += 1;
        let id = self.last_id;
        // If the connection has ended, its close code is received below.
        let _ = self
            .commands
            .send(Message::text(json!({ "id": id, name: parameters }).to_string()));
        loop {
            let message = self.message().await?;
            if message["id"] == id {
                if let Some(error) = message.get("error") {
                    return Err(error["code"].as_u64().unwrap());
                }
                return Ok(message[name].clone());
            }
            self.pushes.push(message);
        }
    }

    /// Waits for the next publication, as channel and data; the error is the close code.
    pub(crate) async fn next(&mut self) -> Result<(String, Value), u64> {
        loop {
            while !self.pushes.is_empty() {
                let push = self.pushes.remove(0)["push"].clone();
                if let Some(publication) = push.get("pub") {
                    return Ok((push["channel"].as_str().unwrap().to_owned(), publication["data"].clone()));
                }
            }
            let message = self.message().await?;
            self.pushes.push(message);
        }
    }

    /// Returns the channels of the publications until that of `marker`, sorted.
    pub(crate) async fn heard(&mut self, marker: &str) -> Vec<String> {
        let mut heard = Vec::new();
        loop {
            let (channel, data) = self.next().await.unwrap();
            if data == marker {
                heard.sort();
                return heard;
            }
            heard.push(channel);
        }
    }

    /// Waits for the next message; the error is the close code.
    async fn message(&mut self) -> Result<Value, u64> {
        within(SOON, "a message of Centrifugo", self.messages.recv())
            .await
            .unwrap_or(Err(0))
    }
}

/// Sends `outgoing` messages and forwards received ones to `incoming`, until either side ends the connection.
async fn drive(
    mut socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    mut outgoing: mpsc::UnboundedReceiver<Message>,
    incoming: mpsc::UnboundedSender<Result<Value, u64>>,
) {
    loop {
        let frame = tokio::select! {
            command = outgoing.recv() => {
                let Some(command) = command else { return };
                // If the other side has closed, its code must still be read.
                let _ = socket.send(command).await;
                continue;
            }
            frame = socket.next() => frame,
        };
        match frame {
            Some(Ok(Message::Text(text))) => {
                for line in text.lines() {
                    if line == "{}" {
                        let _ = socket.send(Message::text("{}")).await;
                        continue;
                    }
                    let message: Value = serde_json::from_str(line).unwrap();
                    let code = message["push"]["disconnect"]["code"].as_u64();
                    // The receiver is gone if the test has dropped its browser.
                    let _ = incoming.send(code.map_or(Ok(message), Err));
                }
            }
            Some(Ok(Message::Close(frame))) => {
                let _ = incoming.send(Err(frame.map_or(0, |frame| u16::from(frame.code).into())));
                return;
            }
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return,
        }
    }
}
