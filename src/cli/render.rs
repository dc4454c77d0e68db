//! `instant render`: what the rules make of changes, for the tests of a project.

mod request;
mod rows;

use std::io::{BufRead, Write};
use std::process::ExitCode;

use serde::Serialize;
use serde_json::value::RawValue;

use super::Context;
use crate::capture::trigger::PINNED;
use crate::change::Change;
use crate::mapping::{LookupId, Mapping, Outcome};
use crate::outbox::foreign_statement;
use request::Request;
use rows::Known;

/// Show what the rules make of changes, for the tests of a project.
///
/// Prints one JSON object per line; `instant.testing` of the Python package uses it. Looks up the configuration's names in the database,
/// then reads standard input to its end without a connection.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  instant render < changes.jsonl")]
pub(super) struct Args {}

/// The first line: the settings that a session needs before it answers lookups.
#[derive(Serialize)]
struct Greeting {
    settings: [(&'static str, &'static str); 5],
}

/// The answer to a request.
#[derive(Serialize)]
#[serde(untagged)]
enum Answer<'a> {
    /// The changes cannot be mapped without these rows.
    Need { need: Vec<Need> },
    /// What the rules make of the changes.
    Done {
        events: Vec<Event<'a>>,
        failures: Vec<Failed<'a>>,
        silent: Vec<Silent<'a>>,
    },
    /// The request is invalid.
    Wrong { error: String },
}

/// Rows to look up.
#[derive(Serialize)]
struct Need {
    lookup: LookupId,
    statement: String,
    keys: Vec<String>,
}

#[derive(Serialize)]
struct Event<'a> {
    channel: &'a str,
    event: &'a RawValue,
}

/// A rule that failed on a change, which would be a dead letter.
#[derive(Serialize)]
struct Failed<'a> {
    model: &'a str,
    rule: u32,
    reason: &'a str,
}

/// A change that no rule turns into an event, and why.
#[derive(Serialize)]
struct Silent<'a> {
    source: &'a str,
    op: &'static str,
    why: Vec<(u32, &'static str)>,
}

pub(super) async fn run(_: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let config = context.load()?;
    let (_, mapping) = context.rules(&config).await?;
    let mut stdout = std::io::stdout().lock();
    let mut say = |line: String| {
        writeln!(stdout, "{line}")?;
        stdout.flush()
    };
    say(serde_json::to_string(&Greeting { settings: PINNED })?)?;
    for line in std::io::stdin().lock().lines() {
        say(answer(&mapping, &line?)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The answer to a line.
fn answer(mapping: &Mapping, line: &str) -> serde_json::Result<String> {
    let wrong = |error: String| serde_json::to_string(&Answer::Wrong { error });
    let request: Request = match serde_json::from_str(line) {
        Ok(request) => request,
        Err(error) => return wrong(format!("this is not a request: {error}")),
    };
    let changes: Vec<Change<'_>> = match request.changes.iter().map(request::Captured::change).collect() {
        Ok(changes) => changes,
        Err(error) => return wrong(error),
    };
    let known = match Known::new(&request.rows) {
        Ok(known) => known,
        Err(error) => return wrong(format!("a value of a row is not JSON: {error}")),
    };
    let missing = known.missing(mapping, &changes);
    if !missing.is_empty() {
        let need = missing.into_iter().map(|(lookup, keys)| Need {
            lookup,
            statement: foreign_statement(mapping.lookup(lookup)),
            keys: keys.into_iter().collect(),
        });
        return serde_json::to_string(&Answer::Need { need: need.collect() });
    }
    let (mut outcomes, mut silent) = (Vec::new(), Vec::new());
    for change in &changes {
        let before = outcomes.len();
        mapping.map(change, &known, &mut outcomes);
        if outcomes.len() == before {
            silent.push(Silent {
                source: change.source,
                op: change.operation.name(),
                why: mapping.silent(change, &known),
            });
        }
    }
    serde_json::to_string(&done(&outcomes, silent)?)
}

fn done<'a>(outcomes: &'a [Outcome], silent: Vec<Silent<'a>>) -> serde_json::Result<Answer<'a>> {
    let (mut events, mut failures) = (Vec::new(), Vec::new());
    for outcome in outcomes {
        match outcome {
            Ok(publication) => events.push(Event {
                channel: &publication.channel,
                event: serde_json::from_slice(&publication.event)?,
            }),
            Err(failure) => failures.push(Failed {
                model: &failure.origin.rule.model,
                rule: failure.origin.rule.number,
                reason: &failure.reason,
            }),
        }
    }
    Ok(Answer::Done {
        events,
        failures,
        silent,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(line: &str) -> String {
        let mapping = Mapping::compile(&[], Some("Shop"), "").unwrap();
        answer(&mapping, line).unwrap()
    }

    #[test]
    fn a_change_becomes_the_event_that_a_browser_would_get() {
        let change = r#"{"id": 1, "at": "2026-11-24T12:00:00Z", "source": "instant.broadcast", "op": "B",
                         "new": "{\"message\": \"hello\", \"event_class\": \"test\"}"}"#;
        insta::assert_snapshot!(answered(&format!("{{\"changes\": [{change}]}}")));
    }

    #[test]
    fn a_change_of_nothing_that_is_watched_is_told_as_silent() {
        let change = r#"{"id": 1, "at": "2026-11-24T12:00:00Z", "source": "public.x", "op": "I", "new": "{}"}"#;
        assert_eq!(
            answered(&format!("{{\"changes\": [{change}]}}")),
            r#"{"events":[],"failures":[],"silent":[{"source":"public.x","op":"insert","why":[]}]}"#
        );
    }

    #[test]
    fn what_is_no_request_is_told_and_the_next_one_is_answered() {
        for (line, said) in [
            ("nonsense", "this is not a request: expected ident"),
            ("{}", "missing field `changes`"),
            (r#"{"changes": [], "row": []}"#, "unknown field `row`"),
            (
                r#"{"changes": [{"id": 1, "at": "2026-11-24T12:00:00Z", "source": "x", "op": "X"}]}"#,
                "`X` is not the letter of an operation",
            ),
            (
                r#"{"changes": [], "rows": [{"lookup": 0, "key": "1", "values": ["{"], "refused": null}]}"#,
                "a value of a row is not JSON",
            ),
        ] {
            let answer = answered(line);
            assert!(answer.starts_with("{\"error\":") && answer.contains(said), "{line}: {answer}");
        }
    }
}
