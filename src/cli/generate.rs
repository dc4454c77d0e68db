//! `instant gen`: what other programs read.

mod centrifugo;
mod completions;
mod man;
mod systemd;

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context as _;

use super::Context;
use crate::config::schema;

/// Print the configuration for another program, shell completions, or the manual.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  instant gen centrifugo > centrifugo.json\n  instant gen systemd > /etc/systemd/system/instant.service\n  instant gen schema > instant.schema.json\n  instant gen completions bash > ~/.local/share/bash-completion/completions/instant\n  instant gen man --output ~/.local/share/man/man1"
)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Configuration for Centrifugo 6, as JSON: keys, origins, proxies, namespaces. Contains secrets.
    Centrifugo,
    /// A systemd unit that runs this binary with this configuration.
    Systemd,
    /// JSON Schema of instant.toml, for editors. Needs no configuration.
    Schema,
    /// Shell completions for `instant`. Needs no configuration.
    Completions(completions::Args),
    /// The manual, as pages for `man`. Needs no configuration.
    Man(man::Args),
}

pub(super) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let text = match &args.what {
        What::Completions(args) => return print(&completions::script(args)),
        What::Man(args) => return print(&man::pages(args)?),
        What::Centrifugo => {
            let config = context.load()?;
            let server = config.centrifugo.as_ref();
            let server = server.context("instant.toml has no [centrifugo]: set where it listens, and its API key")?;
            let web = config.server.as_ref();
            let web = web.context("instant.toml has no [server]: Centrifugo asks it who may subscribe")?;
            serde_json::to_string_pretty(&centrifugo::configuration(&config, server, web))?
        }
        What::Schema => serde_json::to_string_pretty(&schema::schema())?,
        What::Systemd => {
            context.load()?;
            let config = std::path::absolute(context.path()?)?;
            let binary = std::env::current_exe()?;
            // Both a link and its target must be visible.
            let target = config.canonicalize()?;
            let read = if systemd::is_hidden(&config) { &config } else { &target };
            for warning in systemd::warnings(&binary, read) {
                writeln!(anstream::stderr(), "warning: {warning}")?;
            }
            systemd::unit(&binary, &config)
        }
    };
    writeln!(anstream::stdout(), "{text}")?;
    Ok(ExitCode::SUCCESS)
}

/// Prints bytes unchanged: scripts and pages contain bytes that are otherwise stripped.
fn print(bytes: &[u8]) -> anyhow::Result<ExitCode> {
    std::io::stdout().write_all(bytes)?;
    Ok(ExitCode::SUCCESS)
}
