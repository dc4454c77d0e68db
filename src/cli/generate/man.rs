//! The manual.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Command, CommandFactory as _};
use clap_mangen::Man;

use crate::cli::Cli;

/// The footer of each page.
const SOURCE: &str = concat!("instant ", env!("CARGO_PKG_VERSION"));

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  instant gen man | man -l -\n  instant gen man --output ~/.local/share/man/man1")]
pub(super) struct Args {
    /// Write the pages of all commands to this folder, which is created if it does not exist.
    #[arg(long, value_name = "FOLDER")]
    output: Option<PathBuf>,
}

/// The page of `instant` itself; or nothing if all pages were written to files.
pub(super) fn pages(args: &Args) -> anyhow::Result<Vec<u8>> {
    let mut command = Cli::command().disable_help_subcommand(true);
    // Gives commands the names of their pages.
    command.build();
    let mut text = Vec::new();
    match &args.output {
        Some(folder) => std::fs::create_dir_all(folder)
            .and_then(|()| write(folder, command))
            .with_context(|| format!("the pages cannot be written to {}", folder.display()))?,
        None => page(command).render(&mut text)?,
    }
    Ok(text)
}

fn write(folder: &Path, command: Command) -> std::io::Result<()> {
    for part in command.get_subcommands() {
        write(folder, part.clone())?;
    }
    page(command).generate_to(folder)?;
    Ok(())
}

fn page(command: Command) -> Man {
    Man::new(command).manual("Instant").source(SOURCE)
}
