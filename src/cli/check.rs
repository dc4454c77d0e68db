//! `instant check`: every problem of `instant.toml`.

mod page;

use std::io::Write;
use std::process::ExitCode;

use super::context::{Context, Reported, report};
use super::{NOWHERE, exit};
use crate::access::Access;
use crate::capture;
use crate::config::nearest::did_you_mean;

/// Find every problem in instant.toml.
///
/// Checks syntax, keys, templates and names without a database; with --db also whether the models, tables, columns, groups and roles exist.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  instant check --db\n  instant check --explain never-fires")]
pub(super) struct Args {
    /// Check against the database too.
    #[arg(long)]
    db: bool,
    /// Explain the code of a problem: what it means, how it arises and how to fix it.
    #[arg(long, value_name = "CODE", conflicts_with = "db")]
    explain: Option<String>,
}

pub(super) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    if let Some(code) = &args.explain {
        return explain(code);
    }
    let config = if args.db { context.load()? } else { context.load_alone()? };
    if args.db {
        let pool = context.pool(&config).await?;
        let resolved = capture::resolve(&pool, &config).await?;
        let mut problems = resolved.diagnostics;
        if !problems.has_errors() {
            let audience = capture::audience(&pool, &config, &resolved.watches).await?;
            problems.items.extend(audience.items);
        }
        problems.items.extend(capture::refusals(&pool, &config).await?.items);
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
    if config.centrifugo.is_none() && config.server.is_none() {
        writeln!(anstream::stdout(), "only `instant dev` can run it: {NOWHERE}")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn explain(code: &str) -> anyhow::Result<ExitCode> {
    if let Some(page) = page::page(code) {
        write!(anstream::stdout(), "{page}")?;
        return Ok(ExitCode::SUCCESS);
    }
    let hint = did_you_mean(code, page::codes())
        .unwrap_or_else(|| format!("the codes are {}", page::codes().collect::<Vec<_>>().join(", ")));
    writeln!(anstream::stderr(), "error: unknown code `{code}`: {hint}")?;
    Ok(ExitCode::from(exit::USAGE))
}
