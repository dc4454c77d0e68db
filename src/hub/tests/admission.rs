//! Tests of a hub that closes, or is a standby.

use super::*;

#[tokio::test]
async fn a_closed_hub_has_all_clients_reconnect_later() {
    let hub = hub(Limits::default());
    let (open, opening) = (connected(&hub).await, Session::open(&hub, Doorkeeper::default()).unwrap());
    hub.close();
    assert_eq!(open.supervise().await, Disconnect::SHUTDOWN);
    assert_eq!(opening.supervise().await, Disconnect::SHUTDOWN);
    assert!(Session::open(&hub, Doorkeeper::default()).is_none());
}

#[tokio::test]
async fn a_hub_that_admits_nobody_has_all_clients_reconnect_elsewhere() {
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
async fn a_hub_that_admits_clients_again_has_a_new_history() {
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
async fn a_batch_that_a_standby_hub_refuses_is_delivered_when_it_is_sent_again() {
    let hub = hub(Limits::default());
    let mut publication = Publication::example(1, "public");
    publication.event = b"{}".to_vec();
    let batch = [&publication];
    hub.admit(false);
    let refused = Publisher::publish(&*hub, &batch).await.unwrap_err();
    assert_eq!(refused.with_hint(), "this process does not lead (ask the one that leads)");
    hub.admit(true);
    let session = connected(&hub).await;
    assert_eq!(Publisher::publish(&*hub, &batch).await.unwrap(), [Ok(())]);
    assert!(text(&session).await.contains(r#""channel":"public""#));
}
