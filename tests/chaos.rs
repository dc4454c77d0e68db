//! Chaos: writers keep a ledger of what they have committed, while every part is killed, disconnected or crashed. In the end a
//! subscriber has received each committed change once, none that was rolled back, and those of a row in order.
//!
//! `make chaos ROUNDS=200 SEED=7` runs it for long. The seed determines the faults and their order; their exact timing varies.

mod fault;
mod listener;
mod scene;
mod verdict;
mod writer;

use std::time::{Duration, Instant};

use crate::support::wait::eventually;
use fault::schedule;
use scene::Scene;

/// The default number of rounds.
const ROUNDS: usize = 15;
/// How long the last change may take after the last fault.
const CATCH_UP: Duration = Duration::from_mins(2);

fn setting<T: std::str::FromStr>(name: &str, otherwise: T) -> T {
    let given = std::env::var(name).ok().filter(|value| !value.is_empty());
    given.map_or(otherwise, |value| {
        value.parse().unwrap_or_else(|_| panic!("{name} is no number: {value}"))
    })
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "the report says what was injected")]
async fn through_every_fault_each_committed_change_is_heard_once_and_in_its_rows_order() {
    let (rounds, seed) = (setting("CHAOS_ROUNDS", ROUNDS), setting("CHAOS_SEED", 1));
    let began = Instant::now();
    let mut scene = Scene::start().await;
    let faults = schedule(seed, rounds, scene.has_lasting_broker());
    println!("chaos: {rounds} rounds of seed {seed}");
    for (number, round) in faults.iter().enumerate() {
        println!("{:6.1} s  {:3}  {round}", began.elapsed().as_secs_f64(), number + 1);
        scene.suffer(*round).await;
    }
    let written = scene.end_writers().await;
    let truth = scene.truth().await;
    let healed = Instant::now();
    eventually(CATCH_UP, "what was written last", async || {
        assert!(
            !scene.listener.has_gap(),
            "the broker no longer had what the subscriber missed"
        );
        (scene.listener.count() >= truth.len() || !scene.missing(&truth).is_empty() && healed.elapsed() > CATCH_UP / 2)
            .then_some(())
    })
    .await;
    // Whatever is heard twice, or should not be heard, would be heard before this.
    scene.mark().await;
    let heard = scene.listener.heard();
    let report = scene.report(&faults);
    println!(
        "{report}{written}heard           {} changes, the last {:.1} s after the last fault; {} s in all",
        heard.len(),
        healed.elapsed().as_secs_f64(),
        began.elapsed().as_secs()
    );
    let judged = verdict::verdict(&truth, &heard);
    assert!(judged.is_ok(), "seed {seed}: {}\n{}", judged.unwrap_err(), scene.logs());
    assert!(truth.len() > rounds, "the writers wrote: {}", truth.len());
}
