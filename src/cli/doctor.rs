//! `instant doctor`: what is wrong, where, and the command that fixes it.

mod access;
mod browser;
mod client;
mod database;
mod finding;
mod outbox;
mod server;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use super::{Context, age, exit, publisher};
use crate::capture::watch::Watch;
use crate::config::Config;
use finding::{Finding, Findings};

/// Look for everything that keeps changes from arriving.
///
/// Checks triggers, roles, sessions, the outbox and Centrifugo. Exits with 3 if something is wrong.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  instant doctor\n  instant doctor --json | jq -r '.[].code'\n  instant doctor --as 42 room:7"
)]
pub(super) struct Args {
    /// Print the findings as JSON.
    #[arg(long)]
    json: bool,
    /// Age from which a transaction counts as old.
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = age::parse)]
    old: Duration,
    /// URL where browsers connect to Centrifugo, if it is not `[centrifugo] url` with `/connection/websocket`.
    #[arg(long, value_name = "URL", value_parser = websocket)]
    websocket: Option<String>,
    /// Explain instead why the user with this key ('' for an anonymous visitor) may or may not subscribe to a channel.
    #[arg(long = "as", num_args = 2, value_names = ["USER", "CHANNEL"], conflicts_with_all = ["old", "websocket"])]
    asked: Vec<String>,
}

pub(super) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let config = context.load()?;
    if let [user, channel] = args.asked.as_slice() {
        return access::explain(&config, user, channel, args.json).await;
    }
    let mut findings = Findings::default();
    let reachable = outbox::look(&config, &mut findings).await;
    let watches = if reachable {
        database::look(context, &config, args.old, &mut findings).await?
    } else {
        Vec::new()
    };
    if let Some(centrifugo) = &config.centrifugo {
        let channels = server::namespaces(&config);
        let answers = server::look(&publisher(&config)?, &channels, &config, &mut findings).await;
        if let (true, Some(server)) = (answers, &config.server) {
            let channels = channels.values().map(String::as_str);
            let websocket = args.websocket.as_deref();
            client::look(websocket, &config, centrifugo, server, channels, &mut findings).await?;
        }
    }
    print(&args, &config, &watches, &findings.items)?;
    Ok(if findings.items.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(exit::DRIFT)
    })
}

fn print(args: &Args, config: &Config, watches: &[Watch], findings: &[Finding]) -> anyhow::Result<()> {
    let mut stdout = anstream::stdout().lock();
    if args.json {
        writeln!(stdout, "{}", serde_json::to_string_pretty(findings)?)?;
        return Ok(());
    }
    for finding in findings {
        writeln!(stdout, "{finding}\n")?;
    }
    if findings.is_empty() {
        let server = if config.centrifugo.is_some() { ", Centrifugo" } else { "" };
        writeln!(
            stdout,
            "all is well: the database, the outbox{server}; watched tables: {}",
            watches.len()
        )?;
    } else {
        writeln!(stdout, "findings: {}", findings.len())?;
    }
    Ok(())
}

fn websocket(text: &str) -> Result<String, &'static str> {
    if text.starts_with("ws://") || text.starts_with("wss://") {
        Ok(text.to_owned())
    } else {
        Err("a WebSocket URL begins with ws:// or wss://")
    }
}
