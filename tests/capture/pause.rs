//! Pause and resume next to other commands, and when something fails.

use instant::capture::{self, DOZE_LOCK};
use tokio_postgres::Client;

use super::fixture::{Fixture, config, watch};
use crate::support::postgres::versions;
use crate::support::wait::{SOON, eventually};

const TABLE: &str = "create table item (id int primary key, name text)";
/// The lock of `apply`.
const APPLY_LOCK: i64 = DOZE_LOCK + 2;

impl Fixture {
    /// Another command that holds the lock.
    async fn other_command(&self) -> Client {
        let other = self.database.connect().await;
        other.execute("select pg_advisory_lock($1)", &[&APPLY_LOCK]).await.unwrap();
        other
    }

    /// Waits until a command asks for the lock, has the other one do its work, and lets it end.
    async fn meanwhile(&self, other: &Client, work: &str) {
        let asks = "select count(*) from pg_stat_activity
                    where datname = current_database() and query like 'select pg_try_advisory_lock%'";
        eventually(SOON, "a command that waits", async || {
            (self.one(asks).await > 0).then_some(())
        })
        .await;
        other.batch_execute(work).await.unwrap();
        other.execute("select pg_advisory_unlock($1)", &[&APPLY_LOCK]).await.unwrap();
    }

    /// The names of the functions that are paused.
    async fn paused(&self) -> Vec<String> {
        capture::paused(&self.pool).await.unwrap()
    }

    async fn resume(&self, toml: &str) -> Result<usize, capture::Error> {
        capture::resume(&self.pool, &config(toml), &self.watches(toml).await).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_apply_that_waited_for_a_pause_leaves_it() {
    for version in versions() {
        let before = watch("item", "");
        let fixture = Fixture::new(version, TABLE, &before).await;
        assert_eq!(capture::pause(&fixture.pool).await.unwrap(), 1);
        let definition = "select pg_get_functiondef('instant.capture_public_item()'::regprocedure)";
        let paused: String = fixture.client.query_one(definition, &[]).await.unwrap().get(0);
        assert_eq!(fixture.resume(&before).await.unwrap(), 1);

        // What it planned before is a new text of the function.
        let after = watch("item", "'name'");
        assert_eq!(fixture.plan(&after).await.steps.len(), 1);
        let other = fixture.other_command().await;
        let (applied, ()) = tokio::join!(fixture.apply(&after), fixture.meanwhile(&other, &paused));
        assert_eq!(applied, Vec::<String>::new());
        assert_eq!(fixture.paused().await, ["capture_public_item"]);
        assert_eq!(fixture.resume(&after).await.unwrap(), 1);
        assert!(fixture.plan(&after).await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_that_waited_for_an_apply_stops_what_that_has_made() {
    for version in versions() {
        let fixture = Fixture::new(version, TABLE, &watch("item", "")).await;
        let other = fixture.other_command().await;
        let create =
            "create function instant.capture_public_other() returns trigger language plpgsql as 'begin return null; end'";
        let (paused, ()) = tokio::join!(capture::pause(&fixture.pool), fixture.meanwhile(&other, create));
        assert_eq!(paused.unwrap(), 2);
        assert_eq!(fixture.paused().await, ["capture_public_item", "capture_public_other"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resume_that_cannot_count_the_loss_leaves_capture_paused() {
    for version in versions() {
        let toml = watch("item", "") + &watch("thing", "");
        let fixture = Fixture::new(version, &format!("{TABLE}; create table thing (id int primary key)"), &toml).await;
        assert_eq!(fixture.resume(&toml).await.unwrap(), 0);
        assert_eq!(capture::pause(&fixture.pool).await.unwrap(), 2);
        fixture.run("insert into item values (1, 'a')").await;
        fixture.run("alter sequence instant.lost rename to gone").await;
        fixture.resume(&toml).await.unwrap_err();
        assert_eq!(fixture.paused().await.len(), 2);
        fixture.run("alter sequence instant.gone rename to lost").await;
        assert_eq!(fixture.lost().await, 0);
        assert_eq!(fixture.resume(&toml).await.unwrap(), 2);
        assert_eq!((fixture.lost().await, fixture.paused().await.len()), (1, 0));
        fixture.run("insert into item values (2, 'b')").await;
        assert_eq!(fixture.changes().await.len(), 1);
    }
}
