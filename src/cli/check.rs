//! `instant check`: every problem of `instant.toml`.

use std::io::Write;
use std::process::ExitCode;

use super::{Context, Reported, report};
use crate::access::Access;
use crate::capture;

/// Find every problem in instant.toml: syntax, keys, templates and names, without a database; with --db also whether the models,
/// tables, columns and groups exist.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  instant check --db")]
pub(super) struct Args {
    /// Ask the database too.
    #[arg(long)]
    db: bool,
}

pub(super) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let config = context.load()?;
    if args.db {
        let pool = context.pool(&config).await?;
        let watches = context.resolve(&pool, &config).await?;
        let mut problems = capture::audience(&pool, &config, &watches).await?;
        problems.items.extend(Access::new(&config)?.broken_rules().await?.items);
        problems.sort();
        report(&problems, &config.source)?;
        if problems.has_errors() {
            return Err(Reported.into());
        }
    }
    let rules: usize = config.watches.iter().map(|watch| watch.rules.len()).sum();
    let asked = if args.db {
        ""
    } else {
        " (names were not looked up: add --db)"
    };
    let path = config.source.path.display();
    writeln!(
        anstream::stdout(),
        "{path}: no errors; watches: {}, rules: {rules}{asked}",
        config.watches.len()
    )?;
    Ok(ExitCode::SUCCESS)
}
