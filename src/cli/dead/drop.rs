//! `instant dead drop`.

use std::io::Write;
use std::process::ExitCode;

use super::filter::Selection;
use crate::cli::{Context, confirm, exit};
use crate::outbox::Operator;

/// Delete dead letters.
///
/// Their publications are then never sent.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  instant dead drop --rule shop.Order/2 --older 7d --yes")]
pub(super) struct Args {
    #[command(flatten)]
    selection: Selection,
    /// Do not ask for confirmation.
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let Some(filter) = args.selection.filter()? else {
        return Ok(ExitCode::from(exit::USAGE));
    };
    let config = context.load()?;
    let operator = Operator::connect(&config.database.url).await?;
    let found = operator.count_letters(&filter).await?;
    if found > 0 && !args.yes && !confirm(&format!("Delete {found} dead letters?"))? {
        writeln!(anstream::stderr(), "nothing was deleted; `--yes` deletes without asking")?;
        return Ok(ExitCode::from(exit::USAGE));
    }
    let dropped = operator.drop_letters(&filter).await?;
    writeln!(anstream::stdout(), "dropped: {dropped}")?;
    Ok(ExitCode::SUCCESS)
}
