//! Tests of how connections begin and end.

use super::*;

#[tokio::test]
async fn a_client_that_does_not_answer_its_ping_is_disconnected() {
    let limits = Limits {
        ping: Duration::from_millis(400),
        pong: Duration::from_millis(300),
        ..Limits::default()
    };
    let session = connected(&hub(limits)).await;
    assert_eq!(
        session.receive("{}").await,
        Err(Disconnect::BAD_REQUEST),
        "an unsolicited pong"
    );
    assert_eq!(session.supervise().await, Disconnect::NO_PONG);
    assert_eq!(text(&session).await, "{}");
}

#[tokio::test]
async fn a_client_that_sends_nothing_or_was_refused_is_disconnected() {
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
async fn an_expired_connection_is_checked_again_or_sends_another_token() {
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
    assert_eq!(closed.lock().len(), 1);
    drop(other);
    assert_eq!(hub.counts(), Counts::default());
    hub.sweep();
    let channels = hub.shards.iter().map(|shard| shard.lock().channels.len());
    assert!(channels.sum::<usize>() <= 1, "only the numbering of the room is kept");
}
