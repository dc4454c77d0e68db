//! Growth: whether a change costs more where more of them wait.

use crate::backlog::{Backlog, COPIED, Row, copies};
use crate::contestant::instant::{Instant, TEMPLATES, To};
use crate::figures::{Series, count, number};
use crate::ground::Ground;
use crate::report::{Bound, Goal, Section, Table};
use crate::scale::Scale;

/// Of smaller ones several are drained for each round, since what belongs to no change, such as the first request, weighs more.
const SMALL: u64 = 100_000;
/// From here on a backlog is drained once.
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
            "Backlogs of several sizes are drained to Centrifugo, with two templates, from the moment in which the relay leads until the last \
             change is published. Processor times are for 100,000 changes, and told in hundredths of a second before that. {} rounds; of the \
             smallest three times as many, of {} and more one.",
            scale.rounds,
            number(count(LARGE))
        ),
        tables: vec![table],
        goals: vec![Goal::new(
            "growth, the largest time a change over the smallest",
            Bound::Within(20.0),
            " %",
            apart.into(),
        )],
    }
}
