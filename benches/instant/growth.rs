//! Growth: whether a change costs more where more of them wait.

use crate::backlog::{Backlog, Row};
use crate::contestant::instant::{Instant, TEMPLATES, To};
use crate::drain::Drained;
use crate::figures::{Series, number};
use crate::ground::Ground;
use crate::report::{Bound, Goal, Section, Table};
use crate::scale::Scale;

/// The orders whose changes are copied.
const ORDERS: u64 = 10_000;
/// Beyond this a backlog is drained once.
const LARGE: u64 = 1_000_000;

pub(crate) async fn measure(ground: &Ground, scale: &Scale) -> Section {
    let mut table = Table::new([
        "changes",
        "changes/s",
        "µs a change",
        "relay, s",
        "PostgreSQL, s",
        "Centrifugo, s",
        "relay's memory at most, MB",
    ]);
    let mut times = Vec::new();
    for changes in scale.growth {
        let database = ground.database(ORDERS).await;
        let instant = Instant::new(&database, To::Centrifugo, TEMPLATES);
        instant.apply().await;
        // The trigger's own rows, as often as it takes.
        let statement = format!(
            "update bench_order set total = total + 1;
             insert into instant.outbox (source, op, old, new)
             select source, op, old, new from instant.outbox, generate_series(2, {}) order by outbox.id",
            changes / ORDERS
        );
        let backlog = Backlog::of(ground, database, *changes, &statement).await;
        let rounds = if *changes < LARGE { scale.rounds } else { 1 };
        let mut row = Row::default();
        for _ in 0..rounds {
            let drained = backlog.drain(ground, &instant).await;
            // A small backlog is in the pipeline as a whole by the time its first publications are seen.
            #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
            let rate = *changes as f64 / drained.whole.as_secs_f64();
            row.add(&Drained { rate, ..drained }, *changes);
        }
        let time = row.rate.map(|rate| 1e6 / rate);
        #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
        let mut cells = row.cells(&number(*changes as f64));
        cells.insert(2, time.to_string());
        table.row(cells);
        times.push(time.median());
        ground.drop(backlog.database).await;
    }
    let times: Series = times.into_iter().collect();
    let apart = (times.most() / times.least() - 1.0) * 100.0;
    Section {
        name: "growth",
        title: "Growth",
        how: "Backlogs of several sizes are drained to Centrifugo, with two templates, from the moment in which the relay leads. The largest \
              are drained once. Processor times are for 100,000 changes."
            .to_owned(),
        tables: vec![table],
        goals: vec![Goal::new(
            "growth, the largest time a change over the smallest",
            Bound::AtMost(20.0),
            " %",
            apart.into(),
        )],
    }
}
