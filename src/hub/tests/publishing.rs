//! Tests of publishing to clients that read, and to those that do not.

use super::*;

#[tokio::test]
async fn a_publication_is_encoded_once_for_any_number_of_subscribers() {
    let hub = hub(Limits::default());
    let (first, second) = (connected(&hub).await, connected(&hub).await);
    hub.publish("public", &draft(b"1")).await.unwrap();
    let (Output::Frame(first), Output::Frame(second)) = (frame(&first).await, frame(&second).await) else {
        panic!("both receive it");
    };
    assert_eq!(first, r#"{"push":{"channel":"public","pub":{"data":1}}}"#);
    assert_eq!(first.as_ptr(), second.as_ptr());
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_disconnected_and_the_others_receive_everything() {
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
        let mut received = 0;
        while received < 100 {
            received += text(&quick).await.lines().count();
        }
    };
    tokio::join!(publishing, reading);
    assert_eq!(frame(&slow).await, Output::End(Disconnect::SLOW));
    assert_eq!(hub.counts().clients, 2, "its session is still there");
    drop(slow);
    assert_eq!(hub.counts().clients, 1);
}

#[tokio::test]
async fn a_burst_waits_for_clients_that_read_instead_of_disconnecting_them() {
    let limits = Limits {
        queue: 10_000,
        ..Limits::default()
    };
    let hub = hub(limits);
    let session = Arc::new(connected(&hub).await);
    let reader = Arc::clone(&session);
    let reading = tokio::spawn(async move {
        let mut received = 0;
        while received < 2000 {
            received += text(&*reader).await.lines().count();
        }
    });
    let data = format!("\"{}\"", "x".repeat(1000));
    for _ in 0..2000 {
        hub.publish("public", &draft(data.as_bytes())).await.unwrap();
    }
    reading.await.unwrap();
}

#[tokio::test]
async fn a_repeated_publication_is_delivered_once_and_has_the_same_position() {
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
async fn many_clients_that_read_nothing_delay_publications_only_briefly() {
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
    // Each client is waited for once, and at most ten of them. Otherwise each publication would take a tenth of a second.
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
}
