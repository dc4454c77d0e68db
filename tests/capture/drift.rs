//! What `plan` detects and `apply` fixes.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use instant::capture::{self, SchemaState};
use sqlx::PgPool;
use tokio_postgres::error::SqlState;

use super::fixture::{Fixture, config, watch};
use crate::support::postgres::versions;
use crate::support::wait::{SOON, eventually};

const TABLE: &str = "create table item (id int primary key, name text); create table thing (id int primary key)";

#[tokio::test(flavor = "multi_thread")]
async fn a_second_apply_changes_nothing() {
    for version in versions() {
        let toml = watch("item", "'name'");
        let fixture = Fixture::new(version, TABLE, &toml).await;
        let catalog = "select string_agg(md5(t::text), '' order by t.oid) from pg_trigger t";
        let before: String = fixture.client.query_one(catalog, &[]).await.unwrap().get(0);
        assert_eq!(fixture.apply(&toml).await, Vec::<String>::new());
        let after: String = fixture.client.query_one(catalog, &[]).await.unwrap().get(0);
        assert_eq!(before, after);
        assert_eq!(
            fixture.plan(&toml).await.to_string(),
            "nothing to do: the database is as the configuration wants it"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_rule_replaces_the_function_alone() {
    for version in versions() {
        let fixture = Fixture::new(version, TABLE, &watch("item", "")).await;
        assert_eq!(
            fixture.apply(&watch("item", "'name'")).await,
            ["replace function instant.\"capture_public_item\"()"]
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_of_every_kind_is_seen_and_fixed() {
    let drifts = [
        (
            "create or replace function instant.capture_public_item() returns trigger language plpgsql security definer
          set search_path = pg_catalog, pg_temp as $$ begin return null; end $$",
            1,
        ),
        ("alter function instant.capture_public_item() security invoker", 1),
        ("alter function instant.capture_public_item() reset search_path", 1),
        ("alter function instant.capture_public_item() set work_mem = '64MB'", 1),
        ("grant execute on function instant.capture_public_item() to public", 1),
        ("alter table item disable trigger \"!instant\"", 1),
        ("alter table item disable trigger all", 2),
        ("alter table item enable replica trigger \"!instant_truncate\"", 1),
        ("drop trigger \"!instant\" on item", 1),
        (
            "drop trigger \"!instant\" on item; drop trigger \"!instant_truncate\" on item",
            2,
        ),
        (
            "create or replace trigger \"!instant\" after insert on item for each row execute function instant.capture_public_item()",
            1,
        ),
        (
            "create or replace trigger \"!instant\" after insert or update of name or delete on item
          for each row execute function instant.capture_public_item()",
            1,
        ),
        (
            "create or replace trigger \"!instant\" after insert or update or delete on item
          for each row when (pg_trigger_depth() < 5) execute function instant.capture_public_item()",
            1,
        ),
        (
            "create or replace trigger \"!instant\" after insert or update or delete on item
          for each row execute function instant.capture_public_item('argument')",
            1,
        ),
        (
            "drop trigger \"!instant\" on item; create constraint trigger \"!instant\" after insert or update or delete on item
          deferrable for each row execute function instant.capture_public_item()",
            1,
        ),
        ("alter trigger \"!instant\" on item rename to zz", 2),
        ("drop function instant.capture_public_item() cascade", 3),
        (
            "create trigger \"!instant\" after insert or update or delete on thing
          for each row execute function instant.capture_public_item()",
            1,
        ),
        (
            "create function instant.capture_old() returns trigger language plpgsql as $$ begin return null; end $$",
            1,
        ),
    ];
    let toml = watch("item", "'name'");
    for version in versions() {
        let fixture = Fixture::new(version, TABLE, &toml).await;
        for (number, (drift, steps)) in drifts.iter().enumerate() {
            fixture.run(drift).await;
            let plan = fixture.plan(&toml).await;
            assert_eq!(plan.steps.len(), *steps, "{drift}: {plan}");
            fixture.apply(&toml).await;
            let plan = fixture.plan(&toml).await;
            assert!(plan.is_empty(), "{drift}: {plan}");
            fixture
                .run(&format!(
                    "insert into item values ({number}, 'a'); insert into thing values ({number})"
                ))
                .await;
            assert_eq!(fixture.change().await.op, 'I', "{drift}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn triggers_and_functions_that_no_watch_needs_are_dropped() {
    for version in versions() {
        let fixture = Fixture::new(version, TABLE, &(watch("item", "") + &watch("thing", ""))).await;
        let done = fixture.apply(&watch("thing", "")).await;
        assert_eq!(
            done,
            [
                "drop trigger \"!instant\" on public.item",
                "drop trigger \"!instant_truncate\" on public.item",
                "drop function instant.\"capture_public_item\"()",
            ]
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_trigger_is_left_alone() {
    let sql = format!(
        "{TABLE}; create function mine() returns trigger language plpgsql as $$ begin return null; end $$;
         create trigger \"!instant\" after insert on thing for each row execute function mine()"
    );
    for version in versions() {
        let toml = watch("item", "");
        let fixture = Fixture::new(version, &sql, &toml).await;
        assert!(fixture.plan(&toml).await.is_empty());
        assert_eq!(
            fixture
                .one("select count(*) from pg_trigger where tgrelid = 'thing'::regclass")
                .await,
            1
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_relays_role_gets_its_grants_and_nothing_else() {
    for version in versions() {
        let fixture = Fixture::without_watches(version, TABLE).await;
        let role = format!("relay_{}", fixture.database.name);
        let toml = format!("relay_role = '{role}'\n{}", watch("item", "'name'"));
        let error = fixture.try_plan(&toml).await.unwrap_err();
        assert!(error.to_string().contains("there is no role"), "{error}");
        fixture.run(&format!("create role {role} login")).await;
        fixture.apply(&toml).await;
        assert!(fixture.plan(&toml).await.is_empty());
        fixture
            .run(&format!(
                "revoke delete on instant.outbox from {role}; revoke usage on schema instant from {role}"
            ))
            .await;
        let done = fixture.apply(&toml).await;
        assert_eq!(done.len(), 2, "{done:?}");
        assert!(fixture.plan(&toml).await.is_empty());
        fixture.run("insert into item values (1, 'a')").await;
        let pool = PgPool::connect(&fixture.database.url_as(&role)).await.unwrap();
        for allowed in [
            "select 1 from instant.outbox",
            "delete from instant.outbox",
            "update instant.relay set updated_at = now()",
            "select last_value from instant.lost",
            "select nextval('instant.lost')",
            "select 1 from instant._sqlx_migrations",
            "select 1 from instant.dead_letter",
            "update instant.announcement set channel = channel",
        ] {
            sqlx::query(allowed)
                .execute(&pool)
                .await
                .unwrap_or_else(|error| panic!("{allowed}: {error}"));
        }
        for refused in [
            "select 1 from item",
            "insert into instant.outbox (source, op) values ('x', 'I')",
            "select setval('instant.lost', 9)",
            "select instant.announce(1, now(), 'item', 'I', null, null)",
            "update instant._sqlx_migrations set version = 9",
            "create table instant.mine ()",
        ] {
            sqlx::query(refused).execute(&pool).await.expect_err(refused);
        }
        // The relay compares too when it starts, as a role that could fix nothing.
        let resolved = capture::resolve(&pool, &config(&toml)).await.unwrap();
        assert_eq!(resolved.watches.len(), 1);
        let plan = capture::plan(&pool, &config(&toml), &resolved.watches).await.unwrap();
        assert!(plan.is_empty(), "{plan}");
        pool.close().await;
        fixture.run(&format!("drop owned by {role}; drop role {role}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schemas_age_is_told() {
    for version in versions() {
        let toml = watch("item", "");
        let fixture = Fixture::without_watches(version, TABLE).await;
        assert_eq!(capture::schema_state(&fixture.pool).await.unwrap(), SchemaState::Missing);
        fixture.apply(&toml).await;
        assert_eq!(capture::schema_state(&fixture.pool).await.unwrap(), SchemaState::Current);
        fixture
            .run("insert into instant._sqlx_migrations select version + 1000, 'later', now(), true, checksum, 0 from instant._sqlx_migrations order by 1 limit 1")
            .await;
        assert_eq!(capture::schema_state(&fixture.pool).await.unwrap(), SchemaState::Newer);
        let error = fixture.try_plan(&toml).await.unwrap_err();
        assert!(error.to_string().contains("newer version"), "{error}");
        fixture.run("delete from instant._sqlx_migrations where version > 1").await;
        assert_eq!(capture::schema_state(&fixture.pool).await.unwrap(), SchemaState::Older);
        fixture.run("delete from instant._sqlx_migrations").await;
        assert_eq!(capture::schema_state(&fixture.pool).await.unwrap(), SchemaState::WithoutRows);
        let error = fixture.try_plan(&toml).await.unwrap_err();
        assert!(
            error.to_string().contains("`instant remove`, then `instant apply`"),
            "{error}"
        );
        fixture.run("drop table instant.outbox").await;
        assert_eq!(
            capture::schema_state(&fixture.pool).await.unwrap(),
            SchemaState::Older,
            "an `apply` that was cut off at its first step"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_applies_at_once_both_succeed() {
    for version in versions() {
        let fixture = Fixture::without_watches(version, TABLE).await;
        let toml = watch("item", "'name'") + &watch("thing", "");
        let (config, watches) = (config(&toml), fixture.watches(&toml).await);
        let (one, two) = tokio::join!(
            capture::apply(&fixture.pool, &config, &watches, |_, _| ()),
            capture::apply(&fixture.pool, &config, &watches, |_, _| ())
        );
        one.unwrap();
        two.unwrap();
        assert!(fixture.plan(&toml).await.is_empty());
    }
}

/// A write that fails if it is queued for 4 s behind a session that waits for its table.
const IMPATIENT: &str = "set lock_timeout = '4s'; insert into item select coalesce(max(id), 1) + 1 from item";

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_table_is_waited_for_without_a_queue_behind_us() {
    for version in versions() {
        let toml = watch("item", "");
        let fixture = Fixture::without_watches(version, TABLE).await;
        let (config, watches) = (config(&toml), fixture.watches(&toml).await);
        let busy = fixture.database.connect().await;
        busy.batch_execute("begin; insert into item values (1)").await.unwrap();
        let waited = AtomicU32::new(0);
        let release = async {
            // Whoever comes meanwhile is let through between two attempts.
            for attempts in 1..=2 {
                eventually(SOON, "an attempt that gave up", async || {
                    (waited.load(Relaxed) >= attempts).then_some(())
                })
                .await;
                fixture.run(IMPATIENT).await;
            }
            busy.batch_execute("commit").await.unwrap();
        };
        let (applied, ()) = tokio::join!(
            capture::apply(&fixture.pool, &config, &watches, |_, progress| {
                waited.fetch_add(u32::from(matches!(progress, capture::Progress::Waiting { .. })), Relaxed);
            }),
            release
        );
        applied.unwrap();
        assert!(fixture.plan(&toml).await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_control_without_a_lock_timeout_holds_up_every_write_behind_it() {
    for version in versions() {
        let fixture = Fixture::without_watches(version, TABLE).await;
        let (busy, naive) = (fixture.database.connect().await, fixture.database.connect().await);
        busy.batch_execute("begin; insert into item values (1)").await.unwrap();
        let create =
            "create trigger naive after insert on item for each row execute function suppress_redundant_updates_trigger()";
        let naive = tokio::spawn(async move { naive.batch_execute(create).await });
        let waits = "select count(*) from pg_locks where relation = 'item'::regclass and not granted";
        eventually(SOON, "a trigger that waits", async || {
            (fixture.one(waits).await == 1).then_some(())
        })
        .await;
        assert_eq!(fixture.refusal(IMPATIENT).await, Some(SqlState::LOCK_NOT_AVAILABLE));
        busy.batch_execute("commit").await.unwrap();
        naive.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_script_for_a_dba_leaves_nothing_to_do() {
    for version in versions() {
        let sql = format!("{TABLE}; create table heir () inherits (thing)");
        let fixture = Fixture::without_watches(version, &sql).await;
        let role = format!("script_{}", fixture.database.name);
        fixture.run(&format!("create role {role}")).await;
        let toml = format!("relay_role = '{role}'\n{}{}", watch("item", "'name'"), watch("thing", ""));
        let script = fixture.script(&toml).await;
        for statement in script.split_inclusive("commit;\n") {
            fixture.run(statement).await;
        }
        let plan = fixture.plan(&toml).await;
        assert!(plan.is_empty(), "{plan}");
        fixture.run("insert into item values (1, 'a')").await;
        assert_eq!(fixture.changes().await.len(), 1);
        assert_eq!(fixture.apply(&toml).await, Vec::<String>::new());
        fixture.run(&format!("drop owned by {role}; drop role {role}")).await;
    }
}
