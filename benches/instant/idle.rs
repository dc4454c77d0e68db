//! Idle: the cost of a relay while nothing is written.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::contestant::instant::{Instant, PUBLIC, To};
use crate::figures::{count, number};
use crate::ground::Ground;
use crate::meter;
use crate::report::{Bound, Goal, Section, Table};
use crate::scale::Scale;

/// The start is over after this time.
const QUIET: Duration = Duration::from_secs(12);
/// The beginning of the safety poll's statement.
const POLL: &str = "select pg_current_snapshot()";

pub(crate) async fn measure(ground: &Ground, scale: &Scale) -> Section {
    let database = ground.database(1_000).await;
    let client = database.connect().await;
    let instant = Instant::new(&database, To::Centrifugo, PUBLIC);
    instant.apply().await;
    let log = format!("alter database {} set log_statement = 'all'", database.name);
    client.batch_execute(&log).await.unwrap();
    let running = instant.start().await;
    tokio::time::sleep(QUIET).await;

    let process = running.instant.as_ref().unwrap().id();
    let asked = "select pid from pg_stat_activity where application_name like 'instant%' and datname = current_database()";
    let sessions = client.query(asked, &[]).await.unwrap();
    let sessions: Vec<u32> = sessions.iter().map(|row| row.get::<_, i32>(0).unsigned_abs()).collect();
    assert!(!sessions.is_empty(), "no session of the relay is found");
    let costs = || {
        (
            meter::cpu_exact(process),
            sessions.iter().copied().map(meter::cpu_exact).sum::<Duration>(),
        )
    };
    let (before, wakes, said) = (costs(), meter::wake_ups(process), ground.cluster.log().len());
    tokio::time::sleep(scale.idle).await;
    let (after, log) = (costs(), ground.cluster.log());
    let (own, sessions) = (after.0.saturating_sub(before.0), after.1.saturating_sub(before.1));
    let wakes = meter::wake_ups(process) - wakes;
    let queries = queries(&log[said..]);
    running.stop().await;

    let minutes = scale.idle.as_secs_f64() / 60.0;
    let share = |spent: Duration| spent.as_secs_f64() / scale.idle.as_secs_f64() * 100.0;
    let hour = |spent: Duration| number(spent.as_secs_f64() / minutes * 60.0);
    let mut costs = Table::new(["per hour", ""]);
    costs.row(["the relay's CPU, s".to_owned(), hour(own)]);
    costs.row(["its sessions' CPU in PostgreSQL, s".to_owned(), hour(sessions)]);
    let wakes = number(count(wakes) / minutes * 60.0);
    costs.row(["wake-ups of the relay's threads".to_owned(), wakes]);
    let mut asked = Table::new(["statement", "per hour"]);
    let (mut polls, mut others) = (0, 0);
    for (text, times) in &queries {
        *(if text.starts_with(POLL) { &mut polls } else { &mut others }) += times;
        asked.row([format!("`{text}`"), number(f64::from(*times) / minutes * 60.0)]);
    }
    assert!(polls > 0, "not even the safety poll is found in PostgreSQL's log");
    Section {
        name: "idle",
        title: "Idle",
        how: format!(
            "One hour, extrapolated from {} seconds in which nothing was written. Statements are those in PostgreSQL's log.",
            scale.idle.as_secs()
        ),
        tables: vec![costs, asked],
        goals: vec![
            Goal::new("idle, the relay's CPU", Bound::AtMost(0.1), " %", share(own).into()),
            Goal::new(
                "idle, its sessions' CPU in PostgreSQL",
                Bound::AtMost(0.1),
                " %",
                share(sessions).into(),
            ),
            Goal::new(
                "idle, statements per minute besides the safety poll",
                Bound::AtMost(0.0),
                "",
                (f64::from(others) / minutes).into(),
            ),
        ],
    }
}

/// The statements of Instant's sessions, and how often each ran.
fn queries(log: &str) -> BTreeMap<String, u32> {
    let mut queries = BTreeMap::new();
    for line in log.lines().filter(|line| line.starts_with("instant")) {
        let said = line.split_once("statement: ").or_else(|| {
            let (_, executed) = line.split_once("execute ")?;
            executed.split_once(": ")
        });
        if let Some((_, text)) = said {
            let text: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
            *queries.entry(text.chars().take(60).collect()).or_default() += 1;
        }
    }
    queries
}
