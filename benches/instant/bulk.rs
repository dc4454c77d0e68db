//! Bulk: one statement that updates many rows.

use std::time::Instant as Moment;

use crate::contestant::instant::{Instant, PUBLIC, To};
use crate::contestant::{classic, consumer};
use crate::figures::{Series, count, number};
use crate::ground::{Ground, UPDATE};
use crate::guard;
use crate::report::{Bound, Goal, Section, Table};
use crate::scale::{Scale, told, turns};

/// The trigger that is installed on the table.
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
            Trigger::Consumer => consumer::install(&database, "'public'", "0").await,
        }
        databases.push(database);
    }
    let mut times: [Series; TRIGGERS.len()] = Default::default();
    // More rounds than elsewhere: a statement takes a second, during which the cores may be slow.
    let rounds = scale.rounds * 3;
    for round in 0..rounds {
        for at in turns(TRIGGERS.len(), round) {
            let database = &databases[at];
            ground.settle(database).await;
            let client = database.connect().await;
            let started = Moment::now();
            client.batch_execute(UPDATE).await.unwrap();
            times[at].push(started.elapsed().as_secs_f64());
        }
    }
    let [unwatched, captured, unguarded, _, classic, _] = &times;
    let mut table = Table::new(["", "s", "vs. unwatched"]);
    for ((_, name), time) in TRIGGERS.into_iter().zip(&times) {
        table.row([name.to_owned(), time.to_string(), time.over(unwatched).to_string()]);
    }
    Section {
        name: "bulk",
        title: "Bulk",
        how: format!(
            "One `update` of {} rows, with nothing that publishes the changes. The guard is the exception block around a transaction's first \
             insert and the limit on waiting for the outbox's lock. {}",
            number(count(scale.bulk)),
            told(rounds)
        ),
        tables: vec![table],
        goals: vec![
            Goal::new("bulk, vs. unwatched", Bound::AtMost(3.0), " ×", captured.over(unwatched)),
            Goal::new(
                "bulk, vs. payload in NOTIFY",
                Bound::AtMost(1.0),
                " ×",
                captured.over(classic),
            ),
            Goal::new(
                "cost of the guard, bulk",
                Bound::Within(5.0),
                " %",
                captured.over(unguarded).map(|ratio| (ratio - 1.0) * 100.0),
            ),
        ],
    }
}
