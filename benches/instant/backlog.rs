//! Backlog: changes that were captured while nothing published them.

use std::time::Duration;

use crate::contestant::instant::{self, CONSTANTS, Instant, TEMPLATES, To};
use crate::contestant::limit::Limit;
use crate::contestant::{LANES, consumer};
use crate::drain::{Drained, drain};
use crate::figures::{Series, count, number};
use crate::ground::{Ground, UPDATE};
use crate::report::{Bound, Goal, Section, Table};
use crate::scale::{Scale, told, turns};
use crate::support::postgres::Database;

/// The channel of an order's customer, as the rules define it.
pub(crate) const CHANNEL: &str = "'#' || new.customer_id";

const NAMES: [&str; 6] = [
    "Instant with Centrifugo, constants",
    "Instant with Centrifugo, templates",
    "Instant with Centrifugo over gRPC, constants",
    "Instant with Centrifugo over gRPC, templates",
    "Instant with its hub, constants",
    "Centrifugo's consumer",
];

/// One contestant's figures.
#[derive(Default)]
pub(crate) struct Row {
    pub(crate) rate: Series,
    relay: Series,
    postgres: Series,
    server: Series,
    memory: Series,
}

impl Row {
    pub(crate) fn add(&mut self, drained: &Drained, changes: u64) {
        let share = |time: Duration| time.as_secs_f64() / (count(changes) / 100_000.0);
        self.rate.push(drained.rate);
        self.relay.push(share(drained.relay));
        self.postgres.push(share(drained.postgres));
        self.server.push(share(drained.server));
        self.memory.push(count(drained.memory) / 1e6);
    }

    pub(crate) fn cells(&self, name: &str) -> Vec<String> {
        let memory = if self.memory.most() > 0.0 {
            number(self.memory.most())
        } else {
            "–".to_owned()
        };
        let median = |series: &Series| number(series.median());
        vec![
            name.to_owned(),
            self.rate.to_string(),
            median(&self.relay),
            median(&self.postgres),
            median(&self.server),
            memory,
        ]
    }
}

/// The number of orders whose changes are copied to make a larger backlog.
pub(crate) const COPIED: u64 = 10_000;

/// The statements that make a backlog of this many changes of [`COPIED`] orders: the trigger's own rows, and copies in the same order.
pub(crate) fn copies(changes: u64) -> String {
    format!(
        "{UPDATE};
         insert into instant.outbox (source, op, old, new)
         select source, op, old, new from instant.outbox, generate_series(2, {}) as copy order by copy, outbox.id",
        changes / COPIED
    )
}

/// A database with a backlog.
pub(crate) struct Backlog {
    pub(crate) database: Database,
    pub(crate) changes: u64,
    cursor: String,
}

impl Backlog {
    /// Captures `changes` updates by one statement under these rules.
    pub(crate) async fn new(ground: &Ground, changes: u64, rules: &str) -> Self {
        let database = ground.database(changes).await;
        Instant::new(&database, To::Hub, rules).apply().await;
        Self::of(ground, database, changes, UPDATE).await
    }

    /// A backlog made by `statement`.
    pub(crate) async fn of(ground: &Ground, database: Database, changes: u64, statement: &str) -> Self {
        let cursor = instant::cursor(&database).await;
        database.connect().await.batch_execute(statement).await.unwrap();
        ground.settle(&database).await;
        Self {
            database,
            changes,
            cursor,
        }
    }

    /// Drains it, as if for the first time.
    pub(crate) async fn drain(&self, ground: &Ground, instant: &Instant) -> Drained {
        instant::rewind(&self.database, &self.cursor).await;
        let running = instant.start().await;
        let drained = drain(ground, &running, self.changes).await;
        running.stop().await;
        drained
    }
}

pub(crate) async fn measure(ground: &Ground, scale: &Scale) -> Section {
    let changes = scale.backlog;
    let backlogs = [
        Backlog::new(ground, changes, CONSTANTS).await,
        Backlog::new(ground, changes, TEMPLATES).await,
    ];
    let ours = [
        (0, To::Centrifugo),
        (1, To::Centrifugo),
        (0, To::Grpc),
        (1, To::Grpc),
        (0, To::Hub),
    ]
    .map(|(at, to)| (at, Instant::new(&backlogs[at].database, to, [CONSTANTS, TEMPLATES][at])));
    let mut limits = Vec::new();
    for (backlog, rules) in backlogs.iter().zip([CONSTANTS, TEMPLATES]) {
        instant::rewind(&backlog.database, &backlog.cursor).await;
        limits.push(Limit::record(&backlog.database, rules, changes).await);
    }
    let fed = fed(ground, changes).await;

    let mut rows: [Row; NAMES.len()] = Default::default();
    let mut raw = [Series::default(), Series::default()];
    let mut raw_server = [Series::default(), Series::default()];
    for round in 0..scale.rounds {
        for turn in turns(NAMES.len() + limits.len(), round) {
            if let Some((at, instant)) = ours.get(turn) {
                rows[turn].add(&backlogs[*at].drain(ground, instant).await, changes);
            } else if turn == ours.len() {
                refill(ground, &fed).await;
                let running = consumer::start(&fed).await;
                rows[turn].add(&drain(ground, &running, changes).await, changes);
                running.stop().await;
            } else {
                let at = turn - NAMES.len();
                let replayed = limits[at].replay(ground).await;
                raw[at].push(count(changes) / replayed.seconds);
                raw_server[at].push(replayed.server.as_secs_f64() / (count(changes) / 100_000.0));
            }
        }
    }

    let mut table = Table::new([
        "",
        "changes/s",
        "vs. the consumer, ×",
        "of `/api/batch`, %",
        "relay, s",
        "PostgreSQL, s",
        "Centrifugo, s",
        "relay's peak memory, MB",
    ]);
    let consumer = &rows[ours.len()].rate;
    for (turn, (row, name)) in rows.iter().zip(NAMES).enumerate() {
        let mut cells = row.cells(name);
        let limit = ours
            .get(turn)
            .map(|(at, _)| row.rate.over(&raw[*at]).map(|share| share * 100.0));
        cells.insert(2, limit.map_or_else(|| "–".to_owned(), |share| number(share.median())));
        cells.insert(2, number(row.rate.over(consumer).median()));
        table.row(cells);
    }
    for (at, name) in ["constants", "templates"].into_iter().enumerate() {
        let name = format!("`/api/batch` alone, {name} ({} bytes each)", limits[at].bytes);
        let server = number(raw_server[at].median());
        let by_consumer = number(raw[at].over(consumer).median());
        let none = || "–".to_owned();
        table.row([
            name,
            raw[at].to_string(),
            by_consumer,
            "100".into(),
            none(),
            none(),
            server,
            none(),
        ]);
    }
    Section {
        name: "backlog",
        title: "Backlog",
        how: format!(
            "{} updates of one statement, captured while nothing published them, are drained into {} channels; the time is from when the \
             relay leads, or Centrifugo answers, until the last is published. The rules have constants, or two templates. Publications go to \
             Centrifugo's HTTP API, or to its gRPC API (`[centrifugo] grpc_url`). The consumer has as many partitions as Instant has lanes, \
             {LANES}, its own notifications, and events that its trigger has already built. `/api/batch` alone, over HTTP, is sent the \
             publications of Instant, recorded beforehand, in full requests of 200 over as many lanes. Processor times are per 100,000 changes. {}",
            number(count(changes)),
            crate::ground::CUSTOMERS,
            told(scale.rounds)
        ),
        tables: vec![table],
        goals: goals(&rows, &raw),
    }
}

fn goals(rows: &[Row; NAMES.len()], [raw_constants, raw_templates]: &[Series; 2]) -> Vec<Goal> {
    let [constants, templates, _, _, _, consumer] = rows;
    let by_consumer = |name, ours: &Row| {
        let name = format!("{name}, vs. Centrifugo's consumer");
        Goal::new(name, Bound::AtLeast(3.0), " ×", ours.rate.over(&consumer.rate))
    };
    let of_limit = |name, bound, ours: &Row, limit| {
        let name = format!("{name}, of `/api/batch` alone");
        Goal::new(
            name,
            Bound::AtLeast(bound),
            " %",
            ours.rate.over(limit).map(|share| share * 100.0),
        )
    };
    let memory = rows[..4].iter().map(|row| row.memory.most()).fold(0.0, f64::max);
    vec![
        by_consumer("backlog, constants", constants),
        by_consumer("backlog, templates", templates),
        of_limit("backlog, constants", 85.0, constants, raw_constants),
        of_limit("backlog, templates", 75.0, templates, raw_templates),
        Goal::new("backlog, the relay's peak memory", Bound::AtMost(32.0), " MB", memory.into()),
    ]
}

/// A database whose changes Centrifugo's consumer publishes, with a copy of the rows that its trigger has written.
async fn fed(ground: &Ground, changes: u64) -> Database {
    let database = ground.database(changes).await;
    consumer::install(&database, CHANNEL, "new.customer_id").await;
    let client = database.connect().await;
    client.batch_execute(UPDATE).await.unwrap();
    client
        .batch_execute("create table kept as table centrifugo_outbox")
        .await
        .unwrap();
    database
}

/// Refills the outbox from the copy.
async fn refill(ground: &Ground, database: &Database) {
    let client = database.connect().await;
    let statement = "truncate centrifugo_outbox; insert into centrifugo_outbox select * from kept order by id";
    client.batch_execute(statement).await.unwrap();
    ground.settle(database).await;
}
