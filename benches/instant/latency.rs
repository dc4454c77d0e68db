//! Latency: from a commit to a subscriber's socket.

mod listener;
mod pace;

use std::time::Duration;

use crate::contestant::instant::{Instant, PUBLIC, To};
use crate::contestant::{Running, classic, consumer, django, limit};
use crate::figures::{Series, number, percentile};
use crate::ground::Ground;
use crate::report::{Bound, Goal, Section, Table};
use crate::scale::{Scale, told, turns};
use crate::support::postgres::Database;
use listener::Listener;

pub(crate) use pace::{Commit, mark};

/// The number of orders that are written to, one after the other.
const ORDERS: u64 = 10_000;
/// The maximum rate for Django: commits per second that one of its processes can make.
const DJANGO: u32 = 100;

/// Carries a commit to the subscriber.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Carrier {
    Instant(To),
    Consumer,
    Classic,
    Django,
    Request,
}

const CARRIERS: [(Carrier, &str); 7] = [
    (Carrier::Instant(To::Centrifugo), "Instant with Centrifugo"),
    (Carrier::Instant(To::Grpc), "Instant with Centrifugo over gRPC"),
    (Carrier::Instant(To::Hub), "Instant with its hub"),
    (Carrier::Consumer, "Centrifugo's consumer"),
    (Carrier::Classic, "payload in NOTIFY, one listener"),
    (Carrier::Django, "Django's `post_save`, one request"),
    (Carrier::Request, "one publish request, no database"),
];

/// The figures of one rate: the 50th and the 99th percentile of each round, in milliseconds, per contestant.
type Figures = [[Series; 2]; CARRIERS.len()];

pub(crate) async fn measure(ground: &Ground, scale: &Scale) -> Section {
    let mut databases = Vec::new();
    for (carrier, _) in CARRIERS {
        let database = ground.database(ORDERS).await;
        match carrier {
            Carrier::Instant(to) => drop(Instant::new(&database, to, PUBLIC).apply().await),
            Carrier::Consumer => consumer::install(&database, "'public'", "0").await,
            Carrier::Classic => classic::install(&database, "'public'").await,
            Carrier::Django | Carrier::Request => {}
        }
        databases.push(database);
    }
    let mut figures: Vec<Figures> = scale.rates.iter().map(|_| Figures::default()).collect();
    for round in 0..scale.rounds {
        for at in turns(CARRIERS.len(), round) {
            let ((carrier, _), database) = (CARRIERS[at], &databases[at]);
            let running = carrier.start(database).await;
            let mut listener = Listener::connect(&running).await;
            for (figures, (rate, duration)) in figures.iter_mut().zip(scale.rates) {
                if let Some(latencies) = turn(carrier, database, &running, &mut listener, *rate, *duration).await {
                    for (series, share) in figures[at].iter_mut().zip([50, 99]) {
                        series.push(percentile(&latencies, share));
                    }
                }
            }
            running.stop().await;
        }
    }
    section(scale, &figures)
}

impl Carrier {
    async fn start(self, database: &Database) -> Running {
        match self {
            Self::Instant(to) => Instant::new(database, to, PUBLIC).start().await,
            Self::Consumer => consumer::start(database).await,
            Self::Classic => classic::start(database).await,
            Self::Django | Self::Request => limit::server().await,
        }
    }
}

/// The sorted latencies of one carrier at one rate, in milliseconds; `None` if it cannot write that fast.
async fn turn(
    carrier: Carrier,
    database: &Database,
    running: &Running,
    listener: &mut Listener,
    rate: u32,
    duration: Duration,
) -> Option<Vec<f64>> {
    let commits = match carrier {
        Carrier::Django if rate > DJANGO => return None,
        Carrier::Django => django::write(database, &running.server, rate, duration).await,
        Carrier::Request => pace::publish(&running.server, rate, duration).await,
        Carrier::Instant(_) | Carrier::Consumer | Carrier::Classic => pace::write(database, rate, duration).await,
    };
    let mut latencies = listener.latencies(&commits).await;
    latencies.sort_by(f64::total_cmp);
    Some(latencies)
}

fn section(scale: &Scale, figures: &[Figures]) -> Section {
    let mut tables = Vec::new();
    for share in 0..2 {
        let title = if share == 0 { "p50, ms" } else { "p99, ms" };
        let rates = scale.rates.iter().map(|(rate, _)| format!("at {rate}/s"));
        let mut table = Table::new([title.to_owned()].into_iter().chain(rates));
        for (at, (_, name)) in CARRIERS.into_iter().enumerate() {
            let cells = figures.iter().map(|figures| figures[at][share].to_string());
            table.row([name.to_owned()].into_iter().chain(cells));
        }
        tables.push(table);
    }
    let mut goals = Vec::new();
    for (figures, (rate, _)) in figures.iter().zip(scale.rates) {
        for (share, name) in ["p50", "p99"].into_iter().enumerate() {
            let [ours, _, hub, consumer, ..] = figures.each_ref().map(|shares| &shares[share]);
            goals.push(Goal::new(
                format!("latency at {rate}/s, {name}, vs. the consumer"),
                Bound::AtMost(1.1),
                " ×",
                ours.over(consumer),
            ));
            goals.push(Goal::new(
                format!("latency at {rate}/s with the hub, {name}, vs. the consumer"),
                Bound::AtMost(1.0),
                " ×",
                hub.over(consumer),
            ));
        }
    }
    Section {
        name: "latency",
        title: "Latency",
        how: format!(
            "From when a writer learns of its commit, or a request is sent, until one WebSocket client has read the event; an event that is read \
             before its writer learns of the commit took no time. Up to 16 connections write at a fixed pace, whether or not the last event has \
             arrived; one process of Django writes at no more than {DJANGO}/s. The first write of each connection does not count. {} {}",
            samples(scale),
            told(scale.rounds)
        ),
        tables,
        goals,
    }
}

/// How many commits a round has at each rate.
fn samples(scale: &Scale) -> String {
    let counts = scale.rates.iter().map(|(rate, duration)| {
        let commits = number(f64::from(*rate) * duration.as_secs_f64());
        format!("{commits} at {rate}/s")
    });
    format!("Commits per round: {}.", counts.collect::<Vec<_>>().join(", "))
}
