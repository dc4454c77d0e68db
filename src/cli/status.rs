//! `instant status`: leader, backlog, lag, dead letters, losses.

mod ready;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;

use super::{Context, age};
use crate::capture;
use crate::config::Config;
use crate::outbox::{Operator, Status};

/// Clears a terminal and moves to its corner.
const CLEAR: &str = "\x1b[2J\x1b[H";

/// Show the leader, the backlog, and what was parked or lost.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  instant status\n  instant status --watch 5s\n  instant status --json | jq .backlog\n  instant status --ready"
)]
pub(super) struct Args {
    /// Print JSON: one object, or with --watch one per line.
    #[arg(long)]
    json: bool,
    /// Repeat at this interval, until Ctrl-C.
    #[arg(long, value_name = "EVERY", num_args = 0..=1, default_missing_value = "2s", value_parser = every)]
    watch: Option<Duration>,
    /// Ask only the `instant run` on this machine, at `[server] listen`: exit with 3 unless it leads without much lag, or stands by.
    #[arg(long, conflicts_with_all = ["json", "watch"])]
    ready: bool,
}

/// A status, and the state of the triggers.
#[derive(Serialize)]
struct Named<'a> {
    #[serde(flatten)]
    status: &'a Status,
    /// Whether triggers are set to capture nothing.
    paused: bool,
}

pub(super) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let config = context.load()?;
    if args.ready {
        return ready::run(&config).await;
    }
    let operator = Operator::connect(&config.database.url).await?;
    let pool = context.pool(&config).await?;
    let models = models(&pool, &config).await;
    loop {
        let mut status = operator.status().await?;
        status.last_changes = std::mem::take(&mut status.last_changes)
            .into_iter()
            .map(|(source, at)| (models.get(&source).cloned().unwrap_or(source), at))
            .collect();
        let paused = !capture::paused(&pool).await?.is_empty();
        print(&args, &status, paused)?;
        let Some(every) = args.watch else {
            return Ok(ExitCode::SUCCESS);
        };
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            _ = tokio::signal::ctrl_c() => return Ok(ExitCode::SUCCESS),
        }
    }
}

/// The model of each watch, as far as the database has the configuration's names; their problems are for `instant check`.
async fn models(pool: &sqlx::PgPool, config: &Config) -> HashMap<String, String> {
    capture::resolve(pool, config).await.map_or_else(
        |_| HashMap::new(),
        |resolved| {
            let names = resolved.watches.into_iter();
            names.map(|watch| (watch.source, watch.model)).collect()
        },
    )
}

fn print(args: &Args, status: &Status, paused: bool) -> anyhow::Result<()> {
    let mut stdout = anstream::stdout().lock();
    let named = Named { status, paused };
    match (args.json, args.watch) {
        (true, None) => writeln!(stdout, "{}", serde_json::to_string_pretty(&named)?)?,
        (true, Some(_)) => writeln!(stdout, "{}", serde_json::to_string(&named)?)?,
        (false, watch) => {
            if watch.is_some() && std::io::stdout().is_terminal() {
                write!(stdout, "{CLEAR}")?;
            }
            writeln!(stdout, "{}", text(&named))?;
        }
    }
    Ok(stdout.flush()?)
}

/// The human-readable form.
fn text(named: &Named<'_>) -> String {
    let Named { status, paused } = named;
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:<13} {value}");
    };
    line(
        "leader",
        status.leader.as_ref().map_or_else(
            || "none: start `instant run`".to_owned(),
            |leader| {
                let since = leader.since.map_or_else(|| "?".to_owned(), age::since);
                let from = leader.address.as_deref().unwrap_or("a local socket");
                format!("process {} from {from}, for {since}", leader.pid)
            },
        ),
    );
    let depth = &status.depth;
    let backlog = &depth.backlog;
    let more = if backlog.more { "more than " } else { "" };
    line("backlog", format!("{more}{} changes", backlog.changes));
    line("lag", format!("{:.1} s", backlog.lag_seconds));
    line(
        "rate",
        format!("{:.1} changes/s over the last minute", status.changes_per_second),
    );
    let rows = depth
        .outbox
        .changes
        .map_or_else(String::new, |changes| format!(", about {changes} changes"));
    line("outbox", format!("{}{rows}", size(depth.outbox.bytes)));
    line("dead letters", depth.dead_letters.to_string());
    line("lost", depth.lost.counted.to_string());
    if *paused {
        line("capture", "paused: `instant resume` captures again".to_owned());
    }
    for (model, at) in &status.last_changes {
        line("last change", format!("{model}, {} ago", age::since(*at)));
    }
    text.truncate(text.trim_end().len());
    text
}

/// Bytes in the unit that fits.
pub(super) fn size(bytes: i64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut size = bytes as f64;
    let mut unit = "B";
    for next in ["kB", "MB", "GB", "TB"] {
        if size < 1024.0 {
            break;
        }
        size /= 1024.0;
        unit = next;
    }
    if unit == "B" {
        format!("{bytes} B")
    } else {
        format!("{size:.1} {unit}")
    }
}

fn every(text: &str) -> Result<Duration, &'static str> {
    let every = age::parse(text)?;
    if every.is_zero() {
        return Err("must be at least a second");
    }
    Ok(every)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_the_unit_that_fits() {
        assert_eq!(size(512), "512 B");
        assert_eq!(size(24_576), "24.0 kB");
        assert_eq!(size(5 << 30), "5.0 GB");
    }
}
