//! Apply, plan and remove next to a working relay, while writes continue.

use super::{ORDERS, Stack};
use crate::support::postgres;
use crate::support::process::instant;
use crate::support::wait::SOON;

#[tokio::test(flavor = "multi_thread")]
async fn apply_twice_changes_nothing_plan_sees_drift_and_remove_leaves_nothing() {
    for version in postgres::versions() {
        let stack = Stack::start(version, ORDERS).await;
        let run = async |arguments: &[&str]| instant(stack.folder.path(), arguments, &[]).await;
        let again = run(&["apply"]).await;
        assert!(String::from_utf8_lossy(&again.stdout).starts_with("nothing to do"));
        assert_eq!(run(&["plan"]).await.status.code(), Some(0));
        let client = stack.django.database.connect().await;
        client
            .batch_execute(
                "alter table shop_order disable trigger \"!instant\";
                 drop trigger \"!instant\" on shop_orderline;
                 alter function instant.capture_public_shop_country() reset all",
            )
            .await
            .unwrap();
        let drift = run(&["plan"]).await;
        assert_eq!(drift.status.code(), Some(3));
        let drift = String::from_utf8_lossy(&drift.stdout).into_owned();
        for text in [
            "shop_order\n",
            "it is disabled",
            "shop_orderline\n",
            "it does not exist",
            "its settings were changed",
        ] {
            assert!(drift.contains(text), "{text} in {drift}");
        }
        run(&["apply"]).await;
        assert_eq!(run(&["plan"]).await.status.code(), Some(0));
        assert!(run(&["remove", "--yes"]).await.status.success());
        let left = "select count(*) from (select tgname::text from pg_trigger where tgname like '!instant%'
                    union all select nspname::text from pg_namespace where nspname = 'instant') as ours";
        assert_eq!(stack.count(left).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watched_write_never_fails_whatever_happens_to_columns_or_to_the_outbox() {
    for version in postgres::versions() {
        let mut stack = Stack::start(version, ORDERS).await;
        let writer = stack.django.another();
        let pooled = stack.django.database.connect().await;
        let write = "insert into shop_order (number, status, total, notes) values ('W', 'new', 1.50, '')";
        pooled.batch_execute(write).await.unwrap();
        let admin = stack.django.database.connect().await;
        for change in [
            "alter table shop_order rename column number to no",
            "alter table shop_order alter column no type text",
            "alter table shop_order add column extra integer",
        ] {
            admin.batch_execute(change).await.unwrap();
            let write = write.replace("(number", "(no");
            pooled.batch_execute(&write).await.unwrap();
        }
        admin
            .batch_execute("alter table shop_order rename column no to number")
            .await
            .unwrap();
        for (fault, fix) in [
            (
                "alter table instant.outbox rename column source to origin",
                "alter table instant.outbox rename column origin to source",
            ),
            (
                "alter table instant.outbox add constraint never check (false) not valid",
                "alter table instant.outbox drop constraint never",
            ),
            (
                "alter table instant.outbox rename to gone",
                "alter table instant.gone rename to outbox",
            ),
            ("begin; lock table instant.outbox in access exclusive mode", "rollback"),
        ] {
            admin.batch_execute(fault).await.unwrap();
            pooled.batch_execute(write).await.unwrap();
            admin.batch_execute(fix).await.unwrap();
        }
        assert_eq!(
            stack.count("select last_value from instant.lost").await,
            3,
            "lost, counted from 0"
        );
        assert_eq!(stack.count("select count(*) from shop_order").await, 8);
        writer.run("Order.objects.create(number='after')").await;
        // The four changes before it come too, and the word that others were lost, which may come more than once.
        let mut changes = 0;
        loop {
            let event = stack.public.next(SOON).await.value();
            if event["data"]["number"] == "after" {
                break;
            }
            changes += u32::from(event["op"] != "resync");
            assert!(changes <= 4, "the last write was not told");
        }
    }
}
