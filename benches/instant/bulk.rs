//! Bulk: one statement that updates many rows.

use std::time::Instant as Moment;

use crate::contestant::instant::{Instant, PUBLIC, To};
use crate::contestant::{classic, consumer};
use crate::figures::{Series, number};
use crate::ground::Ground;
use crate::guard;
use crate::report::{Bound, Goal, Section, Table};
use crate::scale::Scale;

/// What is installed on the table.
#[derive(Clone, Copy)]
enum Trigger {
    None,
    Capture,
    Unguarded,
    Bare,
    Classic,
    Consumer,
}

const TRIGGERS: [(Trigger, &str); 6] = [
    (Trigger::None, "unwatched"),
    (Trigger::Capture, "captured by Instant"),
    (Trigger::Unguarded, "the same without the trigger's guard"),
    (Trigger::Bare, "an insert into the outbox, and nothing else"),
    (Trigger::Classic, "payload in NOTIFY"),
    (Trigger::Consumer, "Centrifugo's outbox table"),
];

pub(crate) async fn measure(ground: &Ground, scale: &Scale) -> Section {
    let mut databases = Vec::new();
    for (trigger, _) in TRIGGERS {
        let database = ground.database(scale.bulk).await;
        if matches!(trigger, Trigger::Capture | Trigger::Unguarded | Trigger::Bare) {
            Instant::new(&database, To::Centrifugo, PUBLIC).apply().await;
        }
        match trigger {
            Trigger::None | Trigger::Capture => {}
            Trigger::Unguarded => guard::remove(&database).await,
            Trigger::Bare => guard::strip(&database).await,
            Trigger::Classic => classic::install(&database, "'public'").await,
            Trigger::Consumer => consumer::install(&database, "'public'").await,
        }
        databases.push(database);
    }
    let mut times: [Series; TRIGGERS.len()] = Default::default();
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
    for ((_, name), time) in TRIGGERS.into_iter().zip(&times) {
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
