//! The controls of the other tests here: each removes one mechanism from the function or trigger in its own database, and the fault shows.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use instant::capture::DOZE_LOCK;

use super::fixture::{Captured, Fixture, watch};
use super::{rows, settings, survival};
use crate::support::postgres::{database_with, versions};

/// The guard of a transaction's first insert, and a replacement that catches nothing.
const GUARD: (&str, &str) = (
    "exception when others then\n            -- The write wins",
    "exception when division_by_zero then\n            -- The write wins",
);
/// The limit on waiting for the outbox's lock, and the setting that lifts it.
const LIMIT: &str = "state := set_config('lock_timeout', '50ms', true);";
const UNLIMITED: &str = "SET lock_timeout TO '0'";
/// The guard of the row's JSON, and a replacement that catches nothing.
const ROW_GUARD: (&str, &str) = (
    "exception when others then\n        -- A column was dropped",
    "exception when division_by_zero then\n        -- A column was dropped",
);

async fn survivor(version: u32) -> Fixture {
    Fixture::new(version, survival::TABLE, &watch("item", survival::FIELDS)).await
}

/// A session that has locked the outbox.
async fn locker(fixture: &Fixture) -> Client {
    let locker = fixture.database.connect().await;
    locker
        .batch_execute("begin; lock table instant.outbox in access exclusive mode")
        .await
        .unwrap();
    locker
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_guard_a_broken_outbox_fails_the_write() {
    for version in versions() {
        for attack in survival::ATTACKS {
            let fixture = survivor(version).await;
            fixture.without(GUARD.0, GUARD.1).await;
            fixture.run("insert into item (id) values (1)").await;
            fixture.run("delete from instant.outbox").await;
            fixture.run(attack).await;
            assert!(
                fixture.refusal("insert into item (id) values (2)").await.is_some(),
                "{attack}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_guard_of_the_count_a_missing_sequence_fails_the_write() {
    for version in versions() {
        let fixture = survivor(version).await;
        let (guard, none) = (
            "exception when others then\n                begin",
            "exception when division_by_zero then\n                begin",
        );
        fixture.without(guard, none).await;
        fixture.run("drop table instant.outbox; drop sequence instant.lost").await;
        let refused = fixture.refusal("insert into item (id) values (1)").await;
        assert_eq!(refused, Some(SqlState::UNDEFINED_TABLE));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_lock_timeout_a_write_waits_for_as_long_as_the_outbox_is_locked() {
    for version in versions() {
        let fixture = survivor(version).await;
        fixture.without(LIMIT, "").await;
        let locker = locker(&fixture).await;
        let write = "set statement_timeout = '2s'; insert into item (id) values (1)";
        assert_eq!(fixture.refusal(write).await, Some(SqlState::QUERY_CANCELED));
        locker.batch_execute("commit").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_limit_on_the_count_a_lost_change_waits_for_as_long_as_the_sequence_is_locked() {
    for version in versions() {
        let fixture = survivor(version).await;
        fixture.without("perform set_config('lock_timeout', '50ms', true);", "").await;
        fixture.run("drop table instant.outbox").await;
        let locker = survival::sequence_locker(&fixture).await;
        let write = "set statement_timeout = '2s'; insert into item (id) values (1)";
        assert_eq!(fixture.refusal(write).await, Some(SqlState::QUERY_CANCELED));
        locker.batch_execute("commit").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_memory_of_a_count_each_lost_row_waits_for_a_locked_sequence() {
    for version in versions() {
        let fixture = survivor(version).await;
        fixture
            .without(
                "if current_setting('instant.uncounted', true) is distinct from pg_current_xact_id()::text then",
                "if true then",
            )
            .await;
        fixture.run("drop table instant.outbox").await;
        let locker = survival::sequence_locker(&fixture).await;
        let begun = Instant::now();
        fixture
            .run("insert into item (id) select n from generate_series(1, 40) n")
            .await;
        assert!(begun.elapsed() >= 40 * Duration::from_millis(50), "{:?}", begun.elapsed());
        locker.batch_execute("commit").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_limit_on_every_row_a_later_one_that_waits_fails_the_write() {
    for version in versions() {
        let fixture = survivor(version).await;
        fixture.without(UNLIMITED, "SET lock_timeout TO '50ms'").await;
        let (writer, locker) = survival::waiting_row(&fixture).await;
        let refused = writer.await.unwrap().unwrap_err();
        assert_eq!(refused.code(), Some(&SqlState::LOCK_NOT_AVAILABLE));
        locker.batch_execute("commit").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_memory_of_a_loss_each_row_of_a_transaction_waits_for_a_locked_outbox() {
    for version in versions() {
        let fixture = survivor(version).await;
        fixture
            .without(
                "elsif current_setting('instant.tx', true) = '0:' || pg_current_xact_id() then",
                "elsif false then",
            )
            .await;
        let locker = locker(&fixture).await;
        let begun = Instant::now();
        fixture
            .run("insert into item (id) select n from generate_series(1, 40) n")
            .await;
        assert!(begun.elapsed() >= 40 * Duration::from_millis(50), "{:?}", begun.elapsed());
        locker.batch_execute("commit").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_functions_own_setting_the_lock_timeout_stays_with_the_writer() {
    for version in versions() {
        let fixture = survivor(version).await;
        fixture.without(UNLIMITED, "").await;
        fixture.run("begin; insert into item (id) values (1)").await;
        let setting: String = fixture.client.query_one("show lock_timeout", &[]).await.unwrap().get(0);
        assert_eq!(setting, "50ms");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_guard_of_the_row_a_migration_fails_the_writes_of_a_pooled_session() {
    for version in versions() {
        for migration in [
            "drop column name",
            "rename column name to title",
            "alter column other type text",
        ] {
            let fixture = survivor(version).await;
            fixture.without(ROW_GUARD.0, ROW_GUARD.1).await;
            fixture
                .run("insert into item (id) values (1); update item set price = 1; update item set price = 2")
                .await;
            let admin = fixture.database.connect().await;
            admin.batch_execute(&format!("alter table item {migration}")).await.unwrap();
            assert!(fixture.refusal("update item set price = 3").await.is_some(), "{migration}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_memory_of_its_transaction_the_guard_takes_a_number_for_each_row() {
    for version in versions() {
        let fixture = Fixture::new(version, rows::TABLE, &watch("item", "'name'")).await;
        fixture
            .without(
                "if current_setting('instant.tx', true) = '1:' || pg_current_xact_id() then",
                "if false then",
            )
            .await;
        let number = "select pg_current_xact_id()::text::bigint";
        let before = fixture.one(number).await;
        fixture
            .run("insert into item select n, 'a' from generate_series(1, 5000) n")
            .await;
        assert!(fixture.one(number).await - before > 5_000);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_number_in_the_memory_a_foreign_value_makes_the_guard_useless() {
    for version in versions() {
        let fixture = survivor(version).await;
        fixture.without("'1:' || pg_current_xact_id()", "'1'").await;
        fixture.run("drop table instant.outbox; set instant.tx = '1'").await;
        let refused = fixture.refusal("insert into item (id) values (1)").await;
        assert_eq!(refused, Some(SqlState::UNDEFINED_TABLE));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_comparison_of_records_another_notation_of_a_number_is_not_heard() {
    for version in versions() {
        let fixture = Fixture::new(
            version,
            "create table item (id int primary key, price numeric)",
            &watch("item", "'price'"),
        )
        .await;
        fixture.run("insert into item values (1, 1.0)").await;
        fixture.without("operator(pg_catalog.*=)", "=").await;
        fixture.changes().await;
        fixture.run("update item set price = 1.00").await;
        assert_eq!(fixture.changes().await, []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn under_a_later_name_an_applications_trigger_gets_its_change_in_first() {
    for version in versions() {
        let fixture = Fixture::new(
            version,
            &format!("{}; {}", rows::TABLE, rows::TOUCH),
            &watch("item", "'note'"),
        )
        .await;
        fixture.run("alter trigger \"!instant\" on item rename to \"instant\"").await;
        assert_eq!(rows::touched(&fixture).await, ["touched", "new"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_pinned_settings_a_writers_formats_and_search_path_change_what_is_captured() {
    for version in versions() {
        let fixture = Fixture::new(version, settings::TABLE, &watch("item", settings::FIELDS)).await;
        fixture.run("alter function instant.capture_public_item() reset all").await;
        fixture.run(settings::INSERT).await;
        let plain = fixture.change().await.new_row();
        fixture.run(settings::FORMATS).await;
        fixture.run("delete from item").await;
        let formatted = fixture.change().await.old_row();
        for column in ["at", "span", "raw", "ratio", "spans"] {
            assert_ne!(formatted[column], plain[column], "{column}");
        }

        let fixture = Fixture::new(version, settings::TABLE, &watch("item", "'name'")).await;
        fixture.run("alter function instant.capture_public_item() reset all").await;
        fixture.run(settings::HOSTILE).await;
        fixture
            .run("insert into public.item (id, name) values (1, 'a'); update public.item set name = 'b'")
            .await;
        let changes = fixture.changes().await;
        assert_ne!(changes.last().map(Captured::new_row), Some(json!({"id": 1, "name": "b"})));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_look_at_the_server_a_notification_makes_a_prepared_transaction_fail() {
    for version in versions() {
        let database = database_with(version, &["max_prepared_transactions=10"]).await;
        let fixture = Fixture::on(database, survival::TABLE).await;
        fixture.apply(&watch("item", "'name'")).await;
        fixture
            .without("current_setting('max_prepared_transactions') = '0'", "true")
            .await;
        let relay = fixture.database.connect().await;
        relay.execute("select pg_advisory_lock($1)", &[&DOZE_LOCK]).await.unwrap();
        let name = &fixture.database.name;
        let prepare = format!("begin; insert into item (id, name) values (1, 'a'); prepare transaction '{name}'");
        assert_eq!(fixture.refusal(&prepare).await, Some(SqlState::FEATURE_NOT_SUPPORTED));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_share_of_the_doze_lock_a_relay_falls_asleep_beside_a_change_that_will_not_wake_it() {
    let share = format!("pg_try_advisory_xact_lock_shared({DOZE_LOCK})");
    for version in versions() {
        for (instead, falls_asleep) in [(share.as_str(), false), ("true", true)] {
            let fixture = survivor(version).await;
            fixture.without(&share, instead).await;
            fixture.run("begin; insert into item (id) values (1)").await;
            let relay = fixture.database.connect().await;
            let doze = relay
                .query_one("select pg_try_advisory_lock($1)", &[&DOZE_LOCK])
                .await
                .unwrap();
            assert_eq!(doze.get::<_, bool>(0), falls_asleep);
            fixture.run("commit").await;
        }
    }
}
