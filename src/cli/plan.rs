//! `instant plan`: what `apply` would change.

use std::io::Write;
use std::process::ExitCode;

use super::{Context, exit};
use crate::capture;

/// Show what `apply` would change in the database, why, and which lock it takes. Exits 3 when something differs.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  instant plan --json")]
pub(super) struct Args {
    /// Print the steps as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let config = context.load()?;
    let pool = context.pool(&config).await?;
    let watches = context.resolve(&pool, &config).await?;
    let plan = capture::plan(&pool, &config, &watches).await?;
    let mut stdout = anstream::stdout().lock();
    if args.json {
        writeln!(stdout, "{}", serde_json::to_string_pretty(&plan.steps)?)?;
    } else {
        for step in &plan.steps {
            writeln!(stdout, "{}\n    because {}; {}", step.action, step.reason, step.lock)?;
        }
        match plan.steps.len() {
            0 => writeln!(
                stdout,
                "nothing to do: the database is as {} wants it",
                config.source.path.display()
            )?,
            steps => writeln!(stdout, "{steps} steps; run `instant apply`")?,
        }
    }
    Ok(if plan.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(exit::DRIFT)
    })
}
