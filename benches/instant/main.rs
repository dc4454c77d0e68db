//! Instant side by side with its alternatives, on real servers that the run starts itself.
//!
//! `make bench` measures everything and writes `docs/benchmarks.md`. `QUICK=1` shows a short run, `ONLY=backlog,latency` a part of it;
//! neither writes the page.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a failing benchmark panics, and prints its figures"
)]

mod backlog;
mod bulk;
mod contestant;
mod drain;
mod figures;
mod first_write;
mod ground;
mod growth;
mod guard;
mod horizon;
mod hub;
mod idle;
mod latency;
mod lookups;
mod machine;
mod mapping;
mod meter;
mod report;
mod scale;
mod watches;
mod writer;
mod writers;

/// The support code of the tests.
#[path = "../../tests/support"]
#[allow(dead_code, unreachable_pub, reason = "the tests use the rest")]
mod support {
    pub(crate) mod cache;
    pub(crate) mod centrifugo;
    pub(crate) mod crowd;
    pub(crate) mod django;
    pub(crate) mod postgres;
    pub(crate) mod process;
    pub(crate) mod site;
    pub(crate) mod tether;
    pub(crate) mod wait;
}

use std::time::Instant;

use ground::Ground;
use report::Section;
use scale::Scale;

/// The measurements, in the order of the page.
const ALL: [&str; 11] = [
    "backlog", "growth", "latency", "writers", "bulk", "idle", "horizon", "lookups", "watches", "hub", "mapping",
];
/// A short run omits this measurement, which may have to be built first.
const LONG: &str = "mapping";

#[tokio::main]
async fn main() {
    let is_set = |name| std::env::var(name).is_ok_and(|value| !matches!(value.as_str(), "" | "0"));
    let only = std::env::var("ONLY").unwrap_or_default();
    let wanted: Vec<&str> = only.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    if let Some(unknown) = wanted.iter().find(|name| !ALL.contains(name)) {
        eprintln!("bench: `{unknown}` is not a measurement; there are {}", ALL.join(", "));
        std::process::exit(2);
    }
    let is_quick = is_set("QUICK");
    let scale = if is_quick { Scale::QUICK } else { Scale::FULL };
    let ground = Ground::new().await;
    let mut sections = Vec::new();
    for name in ALL {
        let is_wanted = if wanted.is_empty() {
            !is_quick || name != LONG
        } else {
            wanted.contains(&name)
        };
        if is_wanted {
            let started = Instant::now();
            let section = measure(name, &ground, &scale).await;
            ground.clear().await;
            println!("{}", report::section(&section));
            eprintln!("bench: {name} took {:.0} s", started.elapsed().as_secs_f64());
            sections.push(section);
        }
    }
    if is_quick || !wanted.is_empty() {
        println!("A sample of the figures, not a measurement: `make bench` measures everything and writes docs/benchmarks.md.");
        return;
    }
    let page = support::cache::manifest("docs/benchmarks.md");
    std::fs::write(&page, report::page(&sections)).unwrap();
    eprintln!("bench: {} is written", page.display());
}

async fn measure(name: &str, ground: &Ground, scale: &Scale) -> Section {
    match name {
        "backlog" => backlog::measure(ground, scale).await,
        "growth" => growth::measure(ground, scale).await,
        "latency" => latency::measure(ground, scale).await,
        "writers" => writers::measure(ground, scale).await,
        "bulk" => bulk::measure(ground, scale).await,
        "idle" => idle::measure(ground, scale).await,
        "horizon" => horizon::measure(ground, scale).await,
        "lookups" => lookups::measure(ground, scale).await,
        "watches" => watches::measure(ground, scale).await,
        "hub" => hub::measure(scale).await,
        "mapping" => mapping::measure(),
        _ => unreachable!("{name} is one of ALL"),
    }
}
