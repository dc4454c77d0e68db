//! A held xmin horizon: what was purged, and what the cursor has left behind, cannot be cleaned up.

use crate::backlog::Backlog;
use crate::contestant::instant::{Instant, TEMPLATES, To};
use crate::figures::{Series, number};
use crate::ground::Ground;
use crate::report::{Bound, Goal, Section, Table};
use crate::scale::Scale;

/// The cursor's versions of ten minutes, at ten a second.
const CURSORS: u32 = 6_000;

pub(crate) async fn measure(ground: &Ground, scale: &Scale) -> Section {
    let database = ground.database(scale.compared).await;
    let instant = Instant::new(&database, To::Centrifugo, TEMPLATES);
    instant.apply().await;
    let update = "update bench_order set total = total + 1";
    let free = Backlog::of(ground, database, scale.compared, update).await;
    let mut rates = [Series::default(), Series::default()];
    for _ in 0..scale.rounds {
        rates[0].push(free.drain(ground, &instant).await.rate);
    }

    let holder = free.database.connect().await;
    holder
        .batch_execute("begin isolation level repeatable read; select pg_current_snapshot()")
        .await
        .unwrap();
    let client = free.database.connect().await;
    let die = format!(
        "insert into instant.outbox (source, op, old, new)
         select source, op, old, new from (select * from instant.outbox order by id limit 1) as change, generate_series(1, {});
         delete from instant.outbox;",
        scale.dead
    );
    client.batch_execute(&die).await.unwrap();
    for _ in 0..CURSORS {
        client
            .batch_execute("update instant.relay set updated_at = clock_timestamp()")
            .await
            .unwrap();
    }
    let held = Backlog::of(ground, free.database, scale.compared, update).await;
    for _ in 0..scale.rounds {
        rates[1].push(held.drain(ground, &instant).await.rate);
    }
    drop(holder);

    let mut table = Table::new(["", "changes/s"]);
    table.row(["free".to_owned(), rates[0].to_string()]);
    table.row(["held".to_owned(), rates[1].to_string()]);
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    let (dead, changes) = (number(scale.dead as f64), number(scale.compared as f64));
    Section {
        name: "horizon",
        title: "Under a held xmin horizon",
        how: format!(
            "A transaction with an old snapshot stays open, as that of a long `pg_dump`. Since it began, {dead} changes (ten minutes of \
             1,000 a second in the full run) and {CURSORS} versions of the cursor have died, which vacuum may not remove. Then \
             {changes} changes are drained, as before it. Contestants do not alternate here: dead rows stay."
        ),
        tables: vec![table],
        goals: vec![Goal::new(
            "under a held horizon, throughput lost",
            Bound::AtMost(10.0),
            " %",
            (100.0 - rates[1].median() / rates[0].median() * 100.0).into(),
        )],
    }
}
