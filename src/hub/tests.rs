mod admission;
mod connection;
mod publishing;
mod subscription;

use parking_lot::Mutex;

use super::code::Refusal;
use super::queue::Output;
use super::*;
use crate::config::Source;
use crate::mapping::Publication;
use crate::publisher::Publisher;

const TOML: &str = r#"
[database]
url = "postgres://a"
[channels."room:{id}"]
allow = "users"
history = { size = 5, ttl = "1m" }
presence = true
publish = "users"
"#;

/// Admits the user 1, with the token `good` and then `renewed`.
#[derive(Debug, Default)]
pub(super) struct Doorkeeper {
    expires: Option<u64>,
    closed: Arc<Mutex<Vec<String>>>,
    /// The authorized channels that have not been left.
    rooms: Arc<Mutex<Vec<String>>>,
}

impl Authority for Doorkeeper {
    async fn connect(&self, _: &str, token: &str) -> Result<Admission, Refusal> {
        let is_token = match token {
            "" => false,
            "good" => true,
            _ => return Err(Disconnect::INVALID_TOKEN.into()),
        };
        Ok(Admission {
            user: "1".to_owned(),
            channels: vec!["public".to_owned()],
            expires: self.expires,
            is_token,
        })
    }

    async fn subscribe(&self, _: &str, _: &str, channel: &str, token: &str) -> Result<Permit, Refusal> {
        self.rooms.lock().push(channel.to_owned());
        // Other tasks run while the database is queried.
        tokio::task::yield_now().await;
        let expires = (token == "short").then(|| session::now() + 1);
        Ok(Permit { expires })
    }

    async fn refresh(&self, _: &str, _: &str, token: Option<&str>) -> Result<Option<u64>, Refusal> {
        Ok(token.filter(|token| *token == "renewed").map(|_| session::now() + 100))
    }

    fn left(&self, _: &str, channel: &str) {
        self.rooms.lock().retain(|room| room != channel);
    }

    fn closed(&self, client: &str) {
        self.closed.lock().push(client.to_owned());
    }
}

pub(super) fn hub(limits: Limits) -> Arc<Hub> {
    let source = Source {
        path: "instant.toml".into(),
        text: TOML.into(),
    };
    let (config, problems) = Config::parse(source, &|_| None);
    let config = config.unwrap_or_else(|| panic!("{problems:?}"));
    Arc::new(Hub::new(&config, limits))
}

async fn frame<A: Authority>(session: &Session<A>) -> Output {
    tokio::time::timeout(Duration::from_secs(5), session.queue().next())
        .await
        .expect("a frame in time")
}

/// The next frame as text.
pub(super) async fn text<A: Authority>(session: &Session<A>) -> String {
    match frame(session).await {
        Output::Frame(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
        Output::End(end) => panic!("{end:?}"),
    }
}

pub(super) async fn connected(hub: &Arc<Hub>) -> Session<Doorkeeper> {
    let session = Session::open(hub, Doorkeeper::default()).unwrap();
    session.receive(r#"{"connect":{},"id":1}"#).await.unwrap();
    assert!(text(&session).await.contains(r#""subs":{"public":{}}"#));
    session
}

fn draft(data: &[u8]) -> Draft<'_> {
    Draft {
        data,
        ..Draft::default()
    }
}
