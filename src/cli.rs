//! The command line: one file per subcommand.

mod adopt;
mod age;
mod apply;
mod check;
mod context;
mod dead;
mod dev;
mod doctor;
mod generate;
mod init;
mod model;
mod moment;
mod pause;
mod plan;
mod remove;
mod render;
mod replay;
mod resume;
mod run;
mod send;
mod service;
mod sql;
mod status;
mod step;
mod systemd;
mod tail;
mod token;

use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use secrecy::SecretString;

use crate::access;
use crate::config::Config;
use crate::publisher::ApiServer;
use crate::publisher::centrifugo::Centrifugo;
use context::Context;

pub use context::Reported;

/// The error when publications have nowhere to go.
const NOWHERE: &str =
    "instant.toml has neither [centrifugo] nor [server]: set where publications go, or where browsers connect to the hub";

/// Exit codes, the same for every command.
pub mod exit {
    /// Something failed.
    pub const FAILED: u8 = 1;
    /// The command line or the configuration is wrong.
    pub const USAGE: u8 = 2;
    /// The database differs from what the configuration wants.
    pub const DRIFT: u8 = 3;
}

/// Rows of a Django project, live in the browser, without code.
#[derive(Debug, Parser)]
#[command(
    name = "instant",
    version,
    about,
    after_help = "Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 drift or unhealthy."
)]
pub struct Cli {
    /// Configuration file [default: instant.toml, searched for from the current folder upwards].
    #[arg(long, short, global = true, value_name = "FILE", env = "INSTANT_CONFIG")]
    config: Option<PathBuf>,
    /// Connect to this URL instead of `[database] url`, for example as the owner of the tables.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "INSTANT_DATABASE_URL",
        hide_env_values = true
    )]
    database_url: Option<SecretString>,
    #[command(subcommand)]
    command: Command,
}

/// The commands; each describes itself in its own file.
#[derive(Debug, Subcommand)]
enum Command {
    Init(init::Args),
    Check(check::Args),
    Plan(plan::Args),
    Apply(apply::Args),
    Remove(remove::Args),
    Sql(sql::Args),
    Run(run::Args),
    Dev(dev::Args),
    Send(send::Args),
    Dead(dead::Args),
    Render(render::Args),
    Replay(replay::Args),
    Tail(tail::Args),
    Status(status::Args),
    Doctor(doctor::Args),
    Pause(pause::Args),
    Resume(resume::Args),
    Adopt(adopt::Args),
    Token(token::Args),
    Gen(generate::Args),
}

impl Cli {
    /// Runs the command.
    ///
    /// # Errors
    /// What the command could not do, with its causes.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let context = Context {
            config: self.config,
            database_url: self.database_url,
        };
        match self.command {
            Command::Init(args) => init::run(args, &context).await,
            Command::Check(args) => check::run(args, &context).await,
            Command::Plan(args) => plan::run(args, &context).await,
            Command::Apply(args) => apply::run(args, &context).await,
            Command::Remove(args) => remove::run(args, &context).await,
            Command::Sql(args) => sql::run(args, &context).await,
            Command::Run(args) => run::run(args, &context).await,
            Command::Dev(args) => dev::run(args, &context).await,
            Command::Send(args) => send::run(args, &context).await,
            Command::Dead(args) => dead::run(args, &context).await,
            Command::Render(args) => render::run(args, &context).await,
            Command::Replay(args) => replay::run(args, &context).await,
            Command::Tail(args) => tail::run(args, &context).await,
            Command::Status(args) => status::run(args, &context).await,
            Command::Doctor(args) => doctor::run(args, &context).await,
            Command::Pause(args) => pause::run(args, &context).await,
            Command::Resume(args) => resume::run(args, &context).await,
            Command::Adopt(args) => adopt::run(args, &context).await,
            Command::Token(args) => token::run(args, &context).await,
            Command::Gen(args) => generate::run(&args, &context),
        }
    }
}

/// Where the configuration publishes to: Centrifugo, or the hub of the running process, whose API has the same shape.
fn publisher(config: &Config) -> anyhow::Result<Centrifugo> {
    match (&config.centrifugo, &config.server) {
        (Some(server), _) => Ok(Centrifugo::configured(server)?),
        (None, Some(server)) => {
            let key = access::token::hub_key(config)
                .context("instant.toml has neither `[hub] api_key` nor `[django] secret_key`: the hub has no API")?;
            Ok(Centrifugo::new(ApiServer::Hub, &server.url, &key)?)
        }
        (None, None) => anyhow::bail!(NOWHERE),
    }
}

/// Asks on a terminal; elsewhere the answer is no.
fn confirm(question: &str) -> std::io::Result<bool> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Ok(false);
    }
    write!(anstream::stderr(), "{question} [y/N] ")?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    Ok(answer.trim().eq_ignore_ascii_case("y"))
}
