//! Bulk: one statement that updates many rows.

use std::time::Instant as Moment;

use crate::contestant::instant::{Instant, PUBLIC, To};
use crate::contestant::{classic, consumer};
use crate::figures::{Series, number};
use crate::ground::Ground;
use crate::guard;
use crate::report::{Bound, Goal, Section, Table};
use crate::scale::Scale;

const NAMES: [&str; 6] = [
    "unwatched",
    "captured by Instant",
    "the same without the trigger's guard",
    "an insert into the outbox, and nothing else",
    "payload in NOTIFY",
    "Centrifugo's outbox table",
];

pub(crate) async fn measure(ground: &Ground, scale: &Scale) -> Section {
    let mut databases = Vec::new();
    for at in 0..NAMES.len() {
        let database = ground.database(scale.bulk).await;
        match at {
            0 => {}
            1 => drop(Instant::new(&database, To::Centrifugo, PUBLIC).apply().await),
            2 => {
                Instant::new(&database, To::Centrifugo, PUBLIC).apply().await;
                guard::remove(&database).await;
            }
            3 => {
                Instant::new(&database, To::Centrifugo, PUBLIC).apply().await;
                guard::strip(&database).await;
            }
            4 => classic::install(&database, "'public'").await,
            _ => consumer::install(&database, "'public'").await,
        }
        databases.push(database);
    }
    let mut times: [Series; NAMES.len()] = Default::default();
    for _ in 0..scale.rounds + 2 {
        for (at, database) in databases.iter().enumerate() {
            ground.settle(database).await;
            let client = database.connect().await;
            let started = Moment::now();
            client
                .batch_execute("update bench_order set total = total + 1")
                .await
                .unwrap();
            times[at].push(started.elapsed().as_secs_f64());
        }
    }
    let [unwatched, captured, unguarded, _, classic, _] = &times;
    let mut table = Table::new(["", "s", "by unwatched"]);
    for (name, time) in NAMES.into_iter().zip(&times) {
        table.row([name.to_owned(), time.to_string(), time.over(unwatched).to_string()]);
    }
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    let rows = scale.bulk as f64;
    Section {
        name: "bulk",
        title: "Bulk",
        how: format!("One `update` of {} rows, with nobody to carry the changes on.", number(rows)),
        tables: vec![table],
        goals: vec![
            Goal::new("bulk, by unwatched", Bound::AtMost(3.0), " ×", captured.over(unwatched)),
            Goal::new("bulk, by the classic", Bound::AtMost(1.0), " ×", captured.over(classic)),
            Goal::new(
                "the guard, of bulk",
                Bound::AtMost(5.0),
                " %",
                captured.over(unguarded).map(|ratio| (ratio - 1.0) * 100.0),
            ),
        ],
    }
}
