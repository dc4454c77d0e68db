//! Many watches: whether a change costs more when more tables are watched, and how long the start takes.

use std::fmt::Write;
use std::time::Instant as Moment;

use crate::backlog::Backlog;
use crate::contestant::instant::{Instant, To};
use crate::figures::{Series, count, number};
use crate::ground::Ground;
use crate::report::{Bound, Goal, Section, Table};
use crate::scale::{Scale, told, turns};
use crate::support::wait::SOON;

/// The rules of each watch; one of them publishes the updates.
const RULES: &str = "
[[watch.rule]]
on = 'update'
target = 'public'
message = 'Order {{ pk }} is {{ row.status }}'
[[watch.rule]]
on = 'insert'
target = 'users'
[[watch.rule]]
on = 'delete'
target = 'staff'
[[watch.rule]]
on = 'update'
when = \"row.status == 'lost'\"
target = 'superuser'
";

pub(crate) async fn measure(ground: &Ground, scale: &Scale) -> Section {
    let (few, _) = watched(ground, scale, 1).await;
    let (many, applied) = watched(ground, scale, scale.tables).await;
    let mut rates = [Series::default(), Series::default()];
    let mut starts = [Series::default(), Series::default()];
    for round in 0..scale.rounds {
        for at in turns(2, round) {
            let (backlog, instant) = [&few, &many][at];
            let drained = backlog.drain(ground, instant).await;
            rates[at].push(drained.rate);
            // The backlog is drained: only the start is measured.
            let started = Moment::now();
            let mut process = instant.run().await;
            starts[at].push(started.elapsed().as_secs_f64());
            process.signal("TERM").await;
            process.wait(SOON).await;
        }
    }
    let mut table = Table::new(["watches", "rules", "start, s", "changes/s"]);
    table.row(["1".to_owned(), "4".to_owned(), starts[0].to_string(), rates[0].to_string()]);
    let tables = scale.tables.to_string();
    let rules = (scale.tables * 4).to_string();
    table.row([tables.clone(), rules, starts[1].to_string(), rates[1].to_string()]);
    let changes = number(count(scale.compared));
    Section {
        name: "watches",
        title: "Many watches",
        how: format!(
            "{changes} changes of one watched table, and of {tables}, each with four rules, are drained to Centrifugo. The start is \
             from the start of the process until it leads, without a backlog. `instant apply` took {applied:.1} s for the {tables} tables. {}",
            told(scale.rounds)
        ),
        tables: vec![table],
        goals: vec![
            Goal::new("many watches, start", Bound::AtMost(2.0), " s", starts[1].clone()),
            Goal::new(
                "many watches, time per change over that of one watch",
                Bound::Within(10.0),
                " %",
                rates[0].over(&rates[1]).map(|ratio| (ratio - 1.0) * 100.0),
            ),
        ],
    }
}

/// A backlog whose changes are spread over `tables` watched tables, and how long `apply` took.
async fn watched(ground: &Ground, scale: &Scale, tables: usize) -> ((Backlog, Instant), f64) {
    let database = ground.database(1).await;
    let client = database.connect().await;
    let (mut rules, mut fill, mut update) = (String::new(), String::new(), String::new());
    let orders = scale.compared / tables as u64;
    for table in 0..tables {
        let _ = write!(
            rules,
            "[[watch]]\ntable = 'many_{table}'\nfields = ['status', 'total', 'customer_id']\n{RULES}"
        );
        let _ = write!(
            fill,
            "create table many_{table} (like bench_order including all);
             insert into many_{table} select n, 'A', 'paid', 1, n, '', '', 1, now(), now() from generate_series(1, {orders}) as n;"
        );
        let _ = write!(update, "update many_{table} set total = total + 1;");
    }
    client.batch_execute(&fill).await.unwrap();
    let instant = Instant::new(&database, To::Centrifugo, &rules);
    let applied = instant.apply().await;
    let backlog = Backlog::of(ground, database, orders * tables as u64, &update).await;
    ((backlog, instant), applied.as_secs_f64())
}
