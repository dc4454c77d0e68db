//! `instant dead list`.

use std::io::Write;
use std::process::ExitCode;

use jiff::Timestamp;
use serde::Serialize;

use super::filter::Filter;
use crate::cli::{Context, age};
use crate::outbox::{Operator, StoredLetter};

/// List dead letters.
///
/// The oldest come first. Payloads are left out.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  instant dead list --rule shop.Order/2 --newer 1h\n  instant dead list --json | jq .reason")]
pub(super) struct Args {
    #[command(flatten)]
    filter: Filter,
    /// Print one JSON object per line.
    #[arg(long)]
    json: bool,
}

/// A letter without its payload.
#[derive(Serialize)]
struct Line<'a> {
    id: i64,
    parked_at: Timestamp,
    model: &'a str,
    rule: i32,
    channel: Option<&'a str>,
    attempts: i32,
    code: Option<i32>,
    reason: &'a str,
}

pub(super) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let config = context.load()?;
    let operator = Operator::connect(&config.database.url).await?;
    let filter = args.filter.into();
    let mut stdout = anstream::stdout().lock();
    let (mut after, mut found) = (0, 0_u64);
    loop {
        let page = operator.letters(&filter, after, false).await?;
        let Some(last) = page.last() else { break };
        after = last.id;
        if found == 0 && !args.json {
            writeln!(
                stdout,
                "{:>6}  {:>8}  {:<24}  {:<24}  {:>5}  REASON",
                "ID", "AGE", "RULE", "CHANNEL", "TRIES"
            )?;
        }
        for stored in &page {
            found += 1;
            if args.json {
                writeln!(stdout, "{}", serde_json::to_string(&line(stored))?)?;
            } else {
                write_row(&mut stdout, stored)?;
            }
        }
    }
    if !args.json {
        match found {
            0 => writeln!(stdout, "no dead letters")?,
            _ => writeln!(
                stdout,
                "\n{found} found; `instant dead show ID` prints one, `instant dead retry` resends them"
            )?,
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn line(stored: &StoredLetter) -> Line<'_> {
    let letter = &stored.letter;
    Line {
        id: stored.id,
        parked_at: stored.parked_at,
        model: &letter.model,
        rule: letter.rule,
        channel: letter.channel.as_deref(),
        attempts: letter.attempts,
        code: letter.code,
        reason: &letter.reason,
    }
}

fn write_row(out: &mut impl Write, stored: &StoredLetter) -> std::io::Result<()> {
    let letter = &stored.letter;
    writeln!(
        out,
        "{:>6}  {:>8}  {:<24}  {:<24}  {:>5}  {}",
        stored.id,
        age::since(stored.parked_at),
        format!("{}/{}", letter.model, letter.rule),
        letter.channel.as_deref().unwrap_or("-"),
        letter.attempts,
        letter.reason
    )
}
