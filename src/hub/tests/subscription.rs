//! Tests of subscriptions and their limits.

use super::*;

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
async fn concurrent_subscriptions_are_limited_too() {
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
async fn a_channel_that_is_left_during_its_subscription_is_subscribed_only_if_it_is_recorded() {
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
    let subscribed = hub.counts().subscriptions - 1;
    assert_eq!(subscribed, rooms.lock().len(), "it could not be revoked");
}

#[tokio::test]
async fn channels_that_were_left_do_not_fill_the_memory() {
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
    let channels = hub.shards.iter().map(|shard| shard.lock().channels.len());
    assert!(channels.sum::<usize>() <= SHARDS * IDLE + 1);
}
