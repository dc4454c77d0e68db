//! A held xmin horizon: purged changes, and old versions of the cursor, cannot be cleaned up.

use crate::backlog::{Backlog, COPIED, copies};
use crate::contestant::instant::{Instant, TEMPLATES, To};
use crate::figures::{Series, count, number};
use crate::ground::{Ground, UPDATE};
use crate::report::{Bound, Goal, Section, Table};
use crate::scale::{Scale, told, turns};
use crate::support::postgres::Database;

/// The cursor's versions of ten minutes, at ten per second.
const CURSORS: u32 = 6_000;

pub(crate) async fn measure(ground: &Ground, scale: &Scale) -> Section {
    let mut instants = Vec::new();
    let mut databases = Vec::new();
    for _ in 0..2 {
        let database = ground.database(COPIED).await;
        let instant = Instant::new(&database, To::Centrifugo, TEMPLATES);
        instant.apply().await;
        instants.push(instant);
        databases.push(database);
    }
    // A snapshot holds back vacuum only in its own database.
    let held = databases.pop().expect("there are two");
    let holder = held.connect().await;
    holder
        .batch_execute("begin isolation level repeatable read; select pg_current_snapshot()")
        .await
        .unwrap();
    die(&held, scale.dead).await;
    databases.push(held);
    let mut backlogs = Vec::new();
    for database in databases {
        backlogs.push(Backlog::of(ground, database, scale.held, &copies(scale.held)).await);
    }
    let mut rates = [Series::default(), Series::default()];
    for round in 0..scale.rounds {
        for at in turns(rates.len(), round) {
            rates[at].push(backlogs[at].drain(ground, &instants[at]).await.rate);
        }
    }
    drop(holder);

    let mut table = Table::new(["", "changes/s"]);
    table.row(["free".to_owned(), rates[0].to_string()]);
    table.row(["held".to_owned(), rates[1].to_string()]);
    let (dead, changes) = (number(count(scale.dead)), number(count(scale.held)));
    Section {
        name: "horizon",
        title: "Under a held xmin horizon",
        how: format!(
            "A transaction with an old snapshot stays open, like that of a long `pg_dump`. Since it began, {dead} changes (ten minutes of \
             1,000 per second in the full run) and {CURSORS} versions of the cursor have died, which vacuum cannot remove. Then \
             {changes} changes are drained, while the relay's purge scans the dead rows every second, and as many in a database without \
             such a transaction. {}",
            told(scale.rounds)
        ),
        tables: vec![table],
        goals: vec![Goal::new(
            "under a held horizon, throughput lost",
            Bound::Within(10.0),
            " %",
            rates[1].over(&rates[0]).map(|share| 100.0 - share * 100.0),
        )],
    }
}

/// Creates this many dead changes, and dead versions of the cursor, in a database.
async fn die(database: &Database, changes: u64) {
    let client = database.connect().await;
    let statement = format!(
        "{UPDATE} where id = 1;
         insert into instant.outbox (source, op, old, new)
         select source, op, old, new from (select * from instant.outbox order by id limit 1) as change, generate_series(1, {changes});
         delete from instant.outbox;"
    );
    client.batch_execute(&statement).await.unwrap();
    for _ in 0..CURSORS {
        client
            .batch_execute("update instant.relay set updated_at = clock_timestamp()")
            .await
            .unwrap();
    }
}
