use std::sync::Mutex;

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

/// It lets the user 1 in, and knows the token `good` of that user, and `renewed` after it.
#[derive(Debug, Default)]
pub(super) struct Doorkeeper {
    expires: Option<u64>,
    closed: Arc<Mutex<Vec<String>>>,
    /// What it has let in and not heard the end of.
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
        self.rooms.lock().unwrap().push(channel.to_owned());
        // Others have their turn while the database is asked.
        tokio::task::yield_now().await;
        let expires = (token == "short").then(|| session::now() + 1);
        Ok(Permit { expires })
    }

    async fn refresh(&self, _: &str, _: &str, token: Option<&str>) -> Result<Option<u64>, Refusal> {
        Ok(token.filter(|token| *token == "renewed").map(|_| session::now() + 100))
    }

    fn left(&self, _: &str, channel: &str) {
        self.rooms.lock().unwrap().retain(|room| room != channel);
    }

    fn closed(&self, client: &str) {
        self.closed.lock().unwrap().push(client.to_owned());
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

#[tokio::test]
async fn a_publication_is_encoded_once_however_many_listen() {
    let hub = hub(Limits::default());
    let (first, second) = (connected(&hub).await, connected(&hub).await);
    hub.publish("public", &draft(b"1")).await.unwrap();
    let (Output::Frame(first), Output::Frame(second)) = (frame(&first).await, frame(&second).await) else {
        panic!("both hear it");
    };
    assert_eq!(first, r#"{"push":{"channel":"public","pub":{"data":1}}}"#);
    assert_eq!(first.as_ptr(), second.as_ptr());
}

#[tokio::test]
async fn a_client_that_does_not_answer_its_ping_is_cut_off() {
    let limits = Limits {
        ping: Duration::from_millis(400),
        pong: Duration::from_millis(300),
        ..Limits::default()
    };
    let session = connected(&hub(limits)).await;
    assert_eq!(session.receive("{}").await, Err(Disconnect::BAD_REQUEST), "nobody asked");
    assert_eq!(session.supervise().await, Disconnect::NO_PONG);
    assert_eq!(text(&session).await, "{}");
}

#[tokio::test]
async fn whoever_says_nothing_or_was_refused_is_cut_off() {
    let limits = Limits {
        stale: Duration::from_millis(50),
        ..Limits::default()
    };
    let hub = hub(limits);
    let session = Session::open(&hub, Doorkeeper::default()).unwrap();
    assert_eq!(session.supervise().await, Disconnect::STALE);
    let expired = Doorkeeper {
        expires: Some(session::now()),
        ..Doorkeeper::default()
    };
    let session = Session::open(&hub, expired).unwrap();
    session.receive(r#"{"connect":{},"id":1}"#).await.unwrap();
    assert_eq!(text(&session).await, r#"{"id":1,"error":{"code":110,"message":"expired"}}"#);
    let again = session.receive(r#"{"connect":{},"id":2}"#).await;
    assert_eq!(again, Err(Disconnect::BAD_REQUEST));
    assert_eq!(session.supervise().await, Disconnect::STALE);
}

#[tokio::test]
async fn a_connection_whose_time_is_over_is_asked_about_again_or_brings_another_token() {
    let hub = hub(Limits::default());
    let short = || Doorkeeper {
        expires: Some(session::now() + 1),
        ..Doorkeeper::default()
    };
    let session = Session::open(&hub, short()).unwrap();
    session.receive(r#"{"connect":{},"id":1}"#).await.unwrap();
    assert_eq!(session.supervise().await, Disconnect::EXPIRED);

    let session = Session::open(&hub, short()).unwrap();
    session.receive(r#"{"connect":{"token":"good"},"id":1}"#).await.unwrap();
    assert!(text(&session).await.contains(r#""expires":true,"ttl":1"#));
    let old = session.receive(r#"{"refresh":{"token":"good"},"id":2}"#).await;
    assert_eq!(old, Err(Disconnect::EXPIRED));
    session.receive(r#"{"refresh":{"token":"renewed"},"id":3}"#).await.unwrap();
    assert!(text(&session).await.contains(r#""expires":true,"ttl":100}"#));

    let session = Session::open(&hub, short()).unwrap();
    let forged = session.receive(r#"{"connect":{"token":"forged"},"id":1}"#).await;
    assert_eq!(forged, Err(Disconnect::INVALID_TOKEN));
}

#[tokio::test]
async fn channels_and_clients_are_limited() {
    let limits = Limits {
        clients: 2,
        channels: 3,
        ..Limits::default()
    };
    let hub = hub(limits);
    let session = connected(&hub).await;
    for (number, code) in [(1, ""), (2, ""), (3, "106"), (1, "105")] {
        let ask = format!(r#"{{"subscribe":{{"channel":"room:{number}"}},"id":2}}"#);
        session.receive(&ask).await.unwrap();
        let answer = text(&session).await;
        assert!(
            answer.contains(code) && answer.contains("error") != code.is_empty(),
            "{answer}"
        );
    }
    let second = Session::open(&hub, Doorkeeper::default()).unwrap();
    assert!(Session::open(&hub, Doorkeeper::default()).is_none());
    drop(second);
    assert!(Session::open(&hub, Doorkeeper::default()).is_some());
}

#[tokio::test]
async fn channels_that_are_asked_for_side_by_side_are_limited_too() {
    let limits = Limits {
        channels: 3,
        ..Limits::default()
    };
    let hub = hub(limits);
    let session = connected(&hub).await;
    let ask = |number: u32| format!(r#"{{"subscribe":{{"channel":"room:{number}"}},"id":{number}}}"#);
    let asks = [ask(1), ask(2), ask(3), ask(4)];
    for done in futures_util::future::join_all(asks.iter().map(|ask| session.receive(ask))).await {
        assert_eq!(done, Ok(()));
    }
    assert_eq!(hub.counts().subscriptions, 3);
    let mut refused = 0;
    while refused < 2 {
        refused += text(&session).await.matches(r#""code":106"#).count();
    }
}

#[tokio::test]
async fn a_channel_that_is_left_while_it_is_asked_for_is_heard_where_it_is_remembered_alone() {
    let rooms = Arc::<Mutex<Vec<String>>>::default();
    let doorkeeper = Doorkeeper {
        rooms: Arc::clone(&rooms),
        ..Doorkeeper::default()
    };
    let hub = hub(Limits::default());
    let session = Session::open(&hub, doorkeeper).unwrap();
    session.receive(r#"{"connect":{},"id":1}"#).await.unwrap();
    let (asked, left) = tokio::join!(
        session.receive(r#"{"subscribe":{"channel":"room:1"},"id":2}"#),
        session.receive(r#"{"unsubscribe":{"channel":"room:1"},"id":3}"#),
    );
    assert_eq!((asked, left), (Ok(()), Ok(())));
    let heard = hub.counts().subscriptions - 1;
    assert_eq!(heard, rooms.lock().unwrap().len(), "nobody would take it away");
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_cut_off_and_the_others_hear_everything() {
    let limits = Limits {
        queue: 10_000,
        ..Limits::default()
    };
    let hub = hub(limits);
    let (slow, quick) = (connected(&hub).await, connected(&hub).await);
    let data = format!("\"{}\"", "x".repeat(1000));
    let publishing = async {
        for _ in 0..100 {
            hub.publish("public", &draft(data.as_bytes())).await.unwrap();
        }
    };
    let reading = async {
        let mut heard = 0;
        while heard < 100 {
            heard += text(&quick).await.lines().count();
        }
    };
    tokio::join!(publishing, reading);
    assert_eq!(frame(&slow).await, Output::End(Disconnect::SLOW));
    assert_eq!(hub.counts().clients, 2, "its session is still there");
    drop(slow);
    assert_eq!(hub.counts().clients, 1);
}

#[tokio::test]
async fn a_burst_waits_for_those_who_read_instead_of_cutting_them_off() {
    let limits = Limits {
        queue: 10_000,
        ..Limits::default()
    };
    let hub = hub(limits);
    let session = Arc::new(connected(&hub).await);
    let reader = Arc::clone(&session);
    let reading = tokio::spawn(async move {
        let mut heard = 0;
        while heard < 2000 {
            heard += text(&*reader).await.lines().count();
        }
    });
    let data = format!("\"{}\"", "x".repeat(1000));
    for _ in 0..2000 {
        hub.publish("public", &draft(data.as_bytes())).await.unwrap();
    }
    reading.await.unwrap();
}

#[tokio::test]
async fn what_is_sent_again_is_heard_once_and_has_the_same_place() {
    let hub = hub(Limits::default());
    let with_key = Draft {
        data: b"1",
        key: Some(b"k"),
        ..Draft::default()
    };
    let first = hub.publish("room:1", &with_key).await.unwrap().unwrap();
    hub.publish("room:1", &draft(b"2")).await.unwrap();
    assert_eq!(hub.publish("room:1", &with_key).await.unwrap(), Some(first));
    let (kept, position) = hub.history("room:1", &Range::default()).unwrap();
    assert_eq!((kept.len(), position.offset), (2, 2));
    assert_eq!(hub.publish("public", &with_key).await.unwrap(), None);
}

#[tokio::test]
async fn many_clients_that_read_nothing_hold_up_nobody_for_long() {
    let limits = Limits {
        queue: 100_000,
        ..Limits::default()
    };
    let hub = hub(limits);
    let mut lazy = Vec::new();
    for _ in 0..100 {
        lazy.push(connected(&hub).await);
    }
    let begin = Instant::now();
    for _ in 0..900 {
        hub.publish("public", &draft(b"\"0123456789012345678901234567890123456789\""))
            .await
            .unwrap();
    }
    // Each is waited for once, and ten of them at most: without that it would be a tenth of a second for each publication.
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_client_that_goes_leaves_nothing_behind() {
    let hub = hub(Limits::default());
    let closed = Arc::<Mutex<Vec<String>>>::default();
    let other = connected(&hub).await;
    other.receive(r#"{"subscribe":{"channel":"room:1"},"id":2}"#).await.unwrap();
    text(&other).await;
    let doorkeeper = Doorkeeper {
        closed: Arc::clone(&closed),
        ..Doorkeeper::default()
    };
    let session = Session::open(&hub, doorkeeper).unwrap();
    let frame = "{\"connect\":{},\"id\":1}\n{\"subscribe\":{\"channel\":\"room:1\"},\"id\":2}";
    session.receive(frame).await.unwrap();
    assert!(text(&other).await.contains("join"));
    assert_eq!(hub.presence_stats("room:1"), Ok((2, 1)));
    drop(session);
    assert!(text(&other).await.contains("leave"));
    assert_eq!(hub.presence_stats("room:1"), Ok((1, 1)));
    assert_eq!(closed.lock().unwrap().len(), 1);
    drop(other);
    assert_eq!(hub.counts(), Counts::default());
    hub.sweep();
    let channels = hub.shards.iter().map(|shard| shard.lock().unwrap().channels.len());
    assert!(channels.sum::<usize>() <= 1, "the numbering of the room alone is remembered");
}

#[tokio::test]
async fn channels_that_were_only_looked_at_do_not_fill_the_memory() {
    let hub = hub(Limits::default());
    let session = connected(&hub).await;
    for number in 0..20_000 {
        let ask = format!(
            "{{\"subscribe\":{{\"channel\":\"room:{number}\"}},\"id\":2}}\n{{\"unsubscribe\":{{\"channel\":\"room:{number}\"}},\"id\":3}}"
        );
        session.receive(&ask).await.unwrap();
        text(&session).await;
    }
    hub.sweep();
    let channels = hub.shards.iter().map(|shard| shard.lock().unwrap().channels.len());
    assert!(channels.sum::<usize>() <= SHARDS * IDLE + 1);
}

#[tokio::test]
async fn a_closed_hub_lets_everyone_come_again_later() {
    let hub = hub(Limits::default());
    let (open, opening) = (connected(&hub).await, Session::open(&hub, Doorkeeper::default()).unwrap());
    hub.close();
    assert_eq!(open.supervise().await, Disconnect::SHUTDOWN);
    assert_eq!(opening.supervise().await, Disconnect::SHUTDOWN);
    assert!(Session::open(&hub, Doorkeeper::default()).is_none());
}

#[tokio::test]
async fn a_hub_that_admits_nobody_sends_everyone_elsewhere() {
    let hub = hub(Limits::default());
    let (open, opening) = (connected(&hub).await, Session::open(&hub, Doorkeeper::default()).unwrap());
    hub.admit(false);
    assert_eq!(frame(&open).await, Output::End(Disconnect::SHUTDOWN));
    assert_eq!(opening.receive(r#"{"connect":{},"id":1}"#).await, Err(Disconnect::SHUTDOWN));
    assert!(Session::open(&hub, Doorkeeper::default()).is_none());
    hub.admit(true);
    connected(&hub).await;
}

#[tokio::test]
async fn whoever_comes_back_to_a_hub_that_others_stood_in_for_is_told_of_a_gap() {
    let hub = hub(Limits::default());
    hub.publish("room:1", &draft(b"1")).await.unwrap();
    let (_, before) = hub.history("room:1", &Range::default()).unwrap();
    hub.admit(false);
    hub.admit(true);
    let (kept, after) = hub.history("room:1", &Range::default()).unwrap();
    assert!(kept.is_empty() && after.epoch != before.epoch, "{before:?} {after:?}");
    assert_eq!(hub.kept.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn what_a_hub_that_admits_nobody_refuses_is_heard_when_it_is_sent_again() {
    let hub = hub(Limits::default());
    let mut publication = Publication::example(1, "public");
    publication.event = b"{}".to_vec();
    let batch = [&publication];
    hub.admit(false);
    let refused = Publisher::publish(&*hub, &batch).await.unwrap_err();
    assert_eq!(refused.told(), "this process does not lead (ask the one that leads)");
    hub.admit(true);
    let session = connected(&hub).await;
    assert_eq!(Publisher::publish(&*hub, &batch).await.unwrap(), [Ok(())]);
    assert!(text(&session).await.contains(r#""channel":"public""#));
}
