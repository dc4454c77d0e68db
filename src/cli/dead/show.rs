//! `instant dead show`.

use std::io::Write;
use std::process::ExitCode;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::cli::{Context, exit};
use crate::outbox::{LetterFilter, Operator, StoredLetter};

/// Show a dead letter in full, as JSON.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  instant dead show 17")]
pub(super) struct Args {
    /// The id that `list` shows.
    id: i64,
}

/// A letter with everything that is recorded of it.
#[derive(Serialize)]
struct Whole<'a> {
    id: i64,
    parked_at: Timestamp,
    key: &'a str,
    change_id: i64,
    change_at: Timestamp,
    source: &'a str,
    op: Option<&'static str>,
    model: &'a str,
    rule: i32,
    channel: Option<&'a str>,
    attempts: i32,
    code: Option<i32>,
    reason: &'a str,
    event: Option<&'a RawValue>,
    old: Option<&'a RawValue>,
    new: Option<&'a RawValue>,
}

pub(super) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let config = context.load()?;
    let operator = Operator::connect(&config.database.url).await?;
    let filter = LetterFilter {
        ids: vec![args.id],
        ..LetterFilter::default()
    };
    let found = operator.letters(&filter, 0, true).await?;
    let Some(stored) = found.first() else {
        writeln!(
            anstream::stderr(),
            "there is no dead letter {}; see `instant dead list`",
            args.id
        )?;
        return Ok(ExitCode::from(exit::FAILED));
    };
    writeln!(anstream::stdout(), "{}", serde_json::to_string_pretty(&whole(stored)?)?)?;
    Ok(ExitCode::SUCCESS)
}

fn whole(stored: &StoredLetter) -> serde_json::Result<Whole<'_>> {
    let letter = &stored.letter;
    Ok(Whole {
        id: stored.id,
        parked_at: stored.parked_at,
        key: &letter.key,
        change_id: letter.change_id,
        change_at: letter.change_at,
        source: &letter.source,
        op: letter.operation().map(crate::change::Operation::name),
        model: &letter.model,
        rule: letter.rule,
        channel: letter.channel.as_deref(),
        attempts: letter.attempts,
        code: letter.code,
        reason: &letter.reason,
        event: letter.event.as_deref().map(serde_json::from_str).transpose()?,
        old: letter.old.as_deref().map(serde_json::from_str).transpose()?,
        new: letter.new.as_deref().map(serde_json::from_str).transpose()?,
    })
}
