//! Writers: the cost of capture to writers.

use std::time::{Duration, Instant as Moment};

use crate::contestant::instant::{Instant, PUBLIC, To};
use crate::contestant::{Running, classic, consumer};
use crate::figures::{Series, count, number};
use crate::first_write::{CONNECTIONS, FirstWrite};
use crate::ground::Ground;
use crate::report::{Bound, Goal, Section, Table};
use crate::scale::{Scale, told, turns};
use crate::support::postgres::Database;
use crate::writer::{WARM_UP, Writer};
use crate::{guard, meter};

/// The number of orders that are written to.
const ORDERS: u64 = 100_000;
/// One way to write.
#[derive(Clone, Copy)]
enum Way {
    Unwatched,
    Captured,
    Unguarded,
    Bare,
    Carried,
    ByGrpc,
    Classic,
    Consumed,
}

const WAYS: [(Way, &str); 8] = [
    (Way::Unwatched, "unwatched"),
    (Way::Captured, "captured by Instant, no relay"),
    (Way::Unguarded, "the same without the trigger's guard"),
    (Way::Bare, "an insert into the outbox, and nothing else"),
    (Way::Carried, "captured, with the relay and Centrifugo"),
    (Way::ByGrpc, "the same over gRPC"),
    (Way::Classic, "payload in NOTIFY, one listener, Centrifugo"),
    (Way::Consumed, "Centrifugo's outbox table, its consumer"),
];

/// The writers of one way, and its publisher.
struct Contestant {
    database: Database,
    writer: Writer,
    /// Publishes the changes.
    running: Option<Running>,
}

impl Contestant {
    /// Installs and starts everything that the way needs, then starts its writers.
    async fn new(ground: &Ground, way: Way) -> Self {
        let database = ground.database(ORDERS).await;
        // Pages are pruned as they are written to; vacuum would run during a turn by chance.
        let vacuum = "alter table bench_order set (autovacuum_enabled = off)";
        database.connect().await.batch_execute(vacuum).await.unwrap();
        match way {
            Way::Unwatched => {}
            Way::Captured | Way::Carried | Way::ByGrpc => drop(Instant::new(&database, To::Centrifugo, PUBLIC).apply().await),
            Way::Unguarded => {
                Instant::new(&database, To::Centrifugo, PUBLIC).apply().await;
                guard::remove(&database).await;
            }
            Way::Bare => {
                Instant::new(&database, To::Centrifugo, PUBLIC).apply().await;
                guard::strip(&database).await;
            }
            Way::Classic => classic::install(&database, "'public'").await,
            Way::Consumed => consumer::install(&database, "'public'", "0").await,
        }
        let running = match way {
            Way::Unwatched | Way::Captured | Way::Unguarded | Way::Bare => None,
            Way::Carried => Some(Instant::new(&database, To::Centrifugo, PUBLIC).start().await),
            Way::ByGrpc => Some(Instant::new(&database, To::Grpc, PUBLIC).start().await),
            Way::Classic => Some(classic::start(&database).await),
            Way::Consumed => Some(consumer::start(&database).await),
        };
        let mut contestant = Self {
            writer: Writer::start(&database).await,
            database,
            running,
        };
        contestant.catch_up(ground).await;
        contestant
    }

    /// Waits until everything is published, if there is a publisher; returns how long that took.
    async fn catch_up(&mut self, ground: &Ground) -> Option<f64> {
        let running = self.running.as_mut()?;
        let ended = Moment::now();
        running.carried(ground, self.writer.commits().await).await;
        Some(ended.elapsed().as_secs_f64())
    }

    async fn turn(&mut self, ground: &Ground, duration: Duration) -> Turn {
        let before = meter::cpu_exact_of(&ground.cluster);
        let written = self.writer.write(duration).await;
        let behind = self.catch_up(ground).await;
        let spent = meter::cpu_exact_of(&ground.cluster).saturating_sub(before);
        Turn {
            rate: written.rate,
            cost: spent.as_secs_f64() * 1e6 / count(written.commits),
            behind,
        }
    }
}

pub(crate) async fn measure(ground: &Ground, scale: &Scale) -> Section {
    let mut contestants = Vec::new();
    for (way, _) in WAYS {
        contestants.push(Contestant::new(ground, way).await);
    }
    ground.checkpoint().await;
    let mut rates: [Series; WAYS.len()] = Default::default();
    let mut costs: [Series; WAYS.len()] = Default::default();
    let mut behind: [Series; WAYS.len()] = Default::default();
    // Many short turns: the cores' own speed changes within seconds.
    let (writing, rounds) = scale.writing;
    for round in 0..rounds {
        for at in turns(WAYS.len(), round) {
            let turn = contestants[at].turn(ground, writing).await;
            rates[at].push(turn.rate);
            costs[at].push(turn.cost);
            if let Some(seconds) = turn.behind {
                behind[at].push(seconds);
            }
        }
    }
    let first_writes = first_writes(&contestants).await;
    for contestant in contestants {
        if let Some(running) = contestant.running {
            running.stop().await;
        }
    }
    let [unwatched, captured, unguarded, _, carried, _, classic, consumed] = &rates;
    let share = |one: &Series, of: &Series| one.over(of).map(|share| share * 100.0);
    let mut table = Table::new([
        "",
        "commits/s",
        "of unwatched, %",
        "PostgreSQL's CPU per commit, µs",
        "published after the last commit, s",
    ]);
    for (at, (_, name)) in WAYS.into_iter().enumerate() {
        table.row([
            name.to_owned(),
            rates[at].to_string(),
            share(&rates[at], unwatched).to_string(),
            costs[at].to_string(),
            behind[at].to_string(),
        ]);
    }
    Section {
        name: "writers",
        title: "Writers",
        how: format!(
            "`pgbench -c16 -M prepared` updates one row of a ten-column table in each commit; three columns are captured, in addition to the \
             key, for a rule that publishes to everyone. Where something publishes the changes, it does so at the same time on the same cores, \
             and the turn waits for all of them: the last column shows how long. The guard is the exception block around a transaction's first \
             insert and the limit on waiting for the outbox's lock. A turn is {} s, after {} s that do not count; between turns the clients are \
             stopped, and continue where they were. {} The last table has the time of one `update` on {CONNECTIONS} new connections, one after \
             the other.",
            number(writing.as_secs_f64()),
            number(WARM_UP.as_secs_f64()),
            told(rounds)
        ),
        tables: vec![table, first_writes],
        goals: vec![
            Goal::new(
                "writers, captured, of unwatched",
                Bound::AtLeast(80.0),
                " %",
                share(captured, unwatched),
            ),
            Goal::new(
                "writers, with relay and Centrifugo, of unwatched",
                Bound::AtLeast(65.0),
                " %",
                share(carried, unwatched),
            ),
            Goal::new(
                "writers, with relay and Centrifugo, vs. payload in NOTIFY",
                Bound::AtLeast(2.3),
                " ×",
                carried.over(classic),
            ),
            Goal::new(
                "writers, with relay and Centrifugo, vs. the consumer",
                Bound::AtLeast(4.0),
                " ×",
                carried.over(consumed),
            ),
            Goal::new(
                "cost of the guard, one-row commits",
                Bound::Within(5.0),
                " %",
                unguarded.over(captured).map(|ratio| (ratio - 1.0) * 100.0),
            ),
        ],
    }
}

/// How long a connection's first write takes.
async fn first_writes(contestants: &[Contestant]) -> Table {
    let mut table = Table::new(["a connection's", "first write, ms", "tenth write, ms"]);
    let ways: Vec<usize> = (0..WAYS.len())
        .filter(|at| {
            matches!(
                WAYS[*at].0,
                Way::Unwatched | Way::Captured | Way::Bare | Way::Classic | Way::Consumed
            )
        })
        .collect();
    let mut times: [FirstWrite; WAYS.len()] = Default::default();
    for round in 0..CONNECTIONS {
        for turn in turns(ways.len(), round) {
            let at = ways[turn];
            times[at].add(&contestants[at].database).await;
        }
    }
    for at in ways {
        let FirstWrite { first, later } = &times[at];
        table.row([WAYS[at].1.to_owned(), first.to_string(), later.to_string()]);
    }
    table
}

/// One way's turn.
struct Turn {
    /// Commits per second.
    rate: f64,
    /// PostgreSQL's cost of one commit, in microseconds.
    cost: f64,
    /// Seconds until the last change was published, if there is a publisher.
    behind: Option<f64>,
}
