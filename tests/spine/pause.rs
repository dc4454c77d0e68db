//! An operator who must stop capture immediately.

use super::{ORDERS, Stack};
use crate::support::postgres;
use crate::support::wait::SOON;

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_stops_capture_at_once_without_a_lock_and_a_resume_tells_subscribers_to_reload() {
    for version in postgres::versions() {
        let mut stack = Stack::alone(version, ORDERS).await;
        stack.events("Order.objects.create(number='before')").await;
        // A transaction that holds the table as a long migration would; nothing may wait for it.
        let busy = stack.django.database.connect().await;
        busy.batch_execute("begin; lock table shop_order in access exclusive mode")
            .await
            .unwrap();
        let output = stack.command(&["pause"], 0).await;
        assert!(output.contains("capture is paused; tables: 4"), "{output}");
        busy.batch_execute("rollback").await.unwrap();

        let captured = stack.count("select count(*) from instant.outbox").await;
        stack.django.run("Order.objects.create(number='during')").await;
        assert_eq!(stack.count("select count(*) from instant.outbox").await, captured);
        let plan = stack.command(&["plan"], 3).await;
        assert!(plan.contains("capture is paused; `instant resume` captures again"), "{plan}");
        let status = stack.command(&["status"], 0).await;
        assert!(status.contains("paused: `instant resume`"), "{status}");
        let applied = stack.command(&["apply"], 0).await;
        assert!(applied.contains("`apply` leaves it paused; tables: 4"), "{applied}");
        stack.django.run("Order.objects.create(number='still')").await;
        assert_eq!(stack.count("select count(*) from instant.outbox").await, captured);

        let output = stack.command(&["resume"], 0).await;
        assert!(output.contains("capture has resumed"), "{output}");
        assert_eq!(stack.public.next(SOON).await.value()["event_class"], "instant.resync");
        let events = stack.events("Order.objects.create(number='after')").await;
        assert_eq!(events.len(), 1, "{events:#?}");
        assert_eq!(events[0]["data"]["number"], "after");
        stack.command(&["plan"], 0).await;
        assert!(stack.command(&["resume"], 0).await.contains("capture is not paused"));
    }
}
