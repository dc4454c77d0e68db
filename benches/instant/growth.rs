//! Growth: whether a change costs more when more changes wait.

use crate::backlog::{Backlog, COPIED, Row, copies};
use crate::contestant::instant::{Instant, TEMPLATES, To};
use crate::figures::{Series, count, number};
use crate::ground::Ground;
use crate::report::{Bound, Goal, Section, Table};
use crate::scale::Scale;

/// Smaller backlogs are drained several times per round, since costs that belong to no change, such as the first request, weigh more.
const SMALL: u64 = 100_000;
/// From this size on, a backlog is drained only once.
const LARGE: u64 = 1_000_000;

pub(crate) async fn measure(ground: &Ground, scale: &Scale) -> Section {
    let mut table = Table::new([
        "changes",
        "changes/s",
        "µs per change",
        "relay, s",
        "PostgreSQL, s",
        "Centrifugo, s",
        "relay's peak memory, MB",
    ]);
    let mut times = Vec::new();
    for changes in scale.growth {
        let database = ground.database(COPIED).await;
        let instant = Instant::new(&database, To::Centrifugo, TEMPLATES);
        instant.apply().await;
        let backlog = Backlog::of(ground, database, *changes, &copies(*changes)).await;
        let rounds = match *changes {
            LARGE.. => 1,
            SMALL.. => scale.rounds,
            _ => scale.rounds * 3,
        };
        let mut row = Row::default();
        for _ in 0..rounds {
            row.add(&backlog.drain(ground, &instant).await, *changes);
        }
        let time = row.rate.map(|rate| 1e6 / rate);
        let mut cells = row.cells(&number(count(*changes)));
        cells.insert(2, time.to_string());
        table.row(cells);
        times.push(time.median());
        ground.clear().await;
    }
    let times: Series = times.into_iter().collect();
    let apart = (times.most() / times.least() - 1.0) * 100.0;
    Section {
        name: "growth",
        title: "Growth",
        how: format!(
            "Backlogs of several sizes are drained to Centrifugo, with two templates; the time is from when the relay leads until the last \
             change is published. Processor times are per 100,000 changes, scaled from hundredths of a second. {} rounds; three times as many \
             for the smallest, and one for {} and more.",
            scale.rounds,
            number(count(LARGE))
        ),
        tables: vec![table],
        goals: vec![Goal::new(
            "growth, the largest time per change over the smallest",
            Bound::Within(20.0),
            " %",
            apart.into(),
        )],
    }
}
