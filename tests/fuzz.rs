//! The corpus of the fuzz targets, and a few thousand inputs derived from it. `make fuzz` continues from there for as long as wanted.

use std::path::PathBuf;

use crate::support::cache::manifest;

#[path = "../fuzz/src/targets.rs"]
mod targets;

/// Inputs derived from each file of the corpus.
const MADE: usize = 200;

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = manifest("fuzz/corpus").join(target);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

/// Mutates like a fuzzer: flips, cuts, repeats and joins.
fn mutated(random: &mut fastrand::Rng, corpus: &[Vec<u8>], input: &[u8]) -> Vec<u8> {
    let mut input = input.to_vec();
    for _ in 0..random.usize(1..6) {
        let at = random.usize(..=input.len());
        match random.u8(..6) {
            0 if at < input.len() => input[at] ^= 1 << random.u8(..8),
            1 => input.truncate(at),
            2 => input.insert(at, random.u8(..)),
            3 => {
                let piece = input[at..(at + random.usize(..40)).min(input.len())].to_vec();
                let to = random.usize(..=input.len());
                input.splice(to..to, piece);
            }
            4 => {
                let other = &corpus[random.usize(..corpus.len())];
                let from = random.usize(..=other.len());
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            _ => drop(input.drain(at..(at + random.usize(..20)).min(input.len()))),
        }
    }
    input
}

fn try_all(target: &str, run: fn(&[u8])) {
    let corpus = corpus(target);
    assert!(corpus.len() > 2, "a corpus of {}", corpus.len());
    let mut random = fastrand::Rng::with_seed(1);
    for input in &corpus {
        run(input);
        for _ in 0..MADE {
            run(&mutated(&mut random, &corpus, input));
        }
    }
}

#[test]
fn no_configuration_makes_it_panic_and_each_problem_has_a_place_in_the_file() {
    try_all("configuration", targets::configuration);
}

#[test]
fn no_rule_and_no_row_makes_the_mapping_panic() {
    try_all("mapping", targets::mapping);
}

#[test]
fn no_signed_value_makes_it_panic_or_is_read_unless_it_was_signed_here() {
    try_all("signed_value", targets::signed_value);
}

#[test]
fn no_cookie_makes_it_panic() {
    try_all("cookie", targets::cookie);
}

#[test]
fn no_frame_of_a_client_makes_the_hub_panic_or_answer_with_anything_but_json() {
    try_all("client_protocol", targets::client_protocol);
}
