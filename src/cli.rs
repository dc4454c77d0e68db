//! The command line: a file a subcommand.

mod adopt;
mod age;
mod apply;
mod check;
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

use std::collections::BTreeSet;
use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use secrecy::{ExposeSecret, SecretString};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use crate::access;
use crate::capture::{self, watch::Watch};
use crate::config::diagnostic::{Diagnostic, Diagnostics, code};
use crate::config::{self, Config, LoadError, Source};
use crate::mapping::Mapping;
use crate::publisher::centrifugo::Centrifugo;

/// Connections of the control plane: one command works on one table at a time.
const POOL_SIZE: u32 = 2;
/// How long a command waits for the database.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What is missing where publications have nowhere to go.
const NOWHERE: &str =
    "instant.toml has neither [centrifugo] nor [server]: say where publications go, or where browsers connect to the hub";

/// Exit codes, the same for every command.
pub mod exit {
    /// Something failed.
    pub const FAILED: u8 = 1;
    /// The command line or the configuration is wrong.
    pub const USAGE: u8 = 2;
    /// The database is not as the configuration wants it.
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
    /// The configuration file [default: instant.toml, looked up from the current folder upwards].
    #[arg(long, short, global = true, value_name = "FILE", env = "INSTANT_CONFIG")]
    config: Option<PathBuf>,
    /// Connect here instead of `[database] url`, for example as the tables' owner.
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

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a commented instant.toml for a project.
    Init(init::Args),
    /// Find every problem in instant.toml.
    Check(check::Args),
    /// Show what `apply` would change in the database.
    Plan(plan::Args),
    /// Install the schema and the triggers.
    Apply(apply::Args),
    /// Take everything of Instant out of the database.
    Remove(remove::Args),
    /// Print the SQL that `apply` would run, for a DBA.
    Sql(sql::Args),
    /// Publish every committed change.
    Run(run::Args),
    /// Everything for a developer's machine: apply, run with the hub, show each change, read a changed file again.
    Dev(dev::Args),
    /// Send a message by hand.
    Send(send::Args),
    /// Look at the publications that were parked, send them again, or drop them.
    Dead(dead::Args),
    /// Say what the rules make of changes, for tests of one's own project.
    Render(render::Args),
    /// Send again what the outbox still holds.
    Replay(replay::Args),
    /// Show changes as they are committed, and where they go.
    Tail(tail::Args),
    /// Show who leads, what waits, and what was parked or lost.
    Status(status::Args),
    /// Look for everything that keeps changes from arriving.
    Doctor(doctor::Args),
    /// Stop capturing changes at once.
    Pause(pause::Args),
    /// Capture changes again.
    Resume(resume::Args),
    /// Go on in a database that was restored from a dump or upgraded.
    Adopt(adopt::Args),
    /// Print a connection token for a user, for scripts.
    Token(token::Args),
    /// Print a ready configuration for another program, shell completions, or the manual.
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

/// What every command may need.
#[derive(Debug)]
pub(crate) struct Context {
    config: Option<PathBuf>,
    database_url: Option<SecretString>,
}

/// A problem that has been printed already.
#[derive(Debug, thiserror::Error)]
#[error("the configuration cannot be used")]
pub struct Reported;

impl Context {
    /// Where the configuration is.
    pub(crate) fn path(&self) -> anyhow::Result<PathBuf> {
        match &self.config {
            Some(path) => Ok(path.clone()),
            None => config::find(&std::env::current_dir()?)
                .context("there is no instant.toml in this folder or above it; name it with --config"),
        }
    }

    /// Reads the configuration; prints its problems, and fails with [`Reported`] when it cannot be used. What only the database can
    /// tell is left to it.
    pub(crate) fn load(&self) -> anyhow::Result<Config> {
        self.read(|problem| problem.code != code::UNCERTAIN_COLUMN)
    }

    /// The same where no database is asked.
    pub(crate) fn load_alone(&self) -> anyhow::Result<Config> {
        self.read(|_| true)
    }

    /// Reads the configuration, of whose warnings `is_told` says which are printed.
    fn read(&self, is_told: impl Fn(&Diagnostic) -> bool) -> anyhow::Result<Config> {
        match config::load(&self.path()?) {
            Ok((mut config, mut warnings)) => {
                warnings.items.retain(is_told);
                report(&warnings, &config.source)?;
                if let Some(url) = &self.database_url {
                    config.database.url = url.clone();
                }
                Ok(config)
            }
            Err(LoadError::Invalid { file, diagnostics }) => {
                report(&diagnostics, &file)?;
                Err(Reported.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Connects the control plane.
    pub(crate) async fn pool(&self, config: &Config) -> anyhow::Result<PgPool> {
        connect(&config.database.url).await
    }

    /// Finds the configuration's names in the database; prints the problems, and fails with [`Reported`] when there are errors.
    pub(crate) async fn resolve(&self, pool: &PgPool, config: &Config) -> anyhow::Result<Vec<Watch>> {
        let resolved = capture::resolve(pool, config).await?;
        report(&resolved.diagnostics, &config.source)?;
        if resolved.diagnostics.has_errors() {
            Err(Reported.into())
        } else {
            Ok(resolved.watches)
        }
    }

    /// The watches of `config` and its compiled rules, for a command that needs no more of the control plane.
    pub(crate) async fn rules(&self, config: &Config) -> anyhow::Result<(Vec<Watch>, Arc<Mapping>)> {
        let pool = self.pool(config).await?;
        let watches = self.resolve(&pool, config).await?;
        pool.close().await;
        let mapping = Mapping::compile(&watches, config.site.as_deref(), &config.prefix)?;
        Ok((watches, Arc::new(mapping)))
    }
}

/// Connects the control plane.
async fn connect(url: &SecretString) -> anyhow::Result<PgPool> {
    PgPoolOptions::new()
        .max_connections(POOL_SIZE)
        .acquire_timeout(CONNECT_TIMEOUT)
        .connect(url.expose_secret())
        .await
        .map_err(|error| match error {
            sqlx::Error::Configuration(_) => {
                anyhow::anyhow!("the database URL cannot be read; it must look like postgresql://USER:PASSWORD@HOST:PORT/NAME")
            }
            error => anyhow::Error::from(error).context("the database cannot be reached"),
        })
}

/// Where the configuration publishes to: Centrifugo, or the hub of the process that runs, whose API has the same shape.
fn publisher(config: &Config) -> anyhow::Result<Centrifugo> {
    match (&config.centrifugo, &config.server) {
        (Some(server), _) => Ok(Centrifugo::configured(server)?),
        (None, Some(server)) => {
            let key = access::token::hub_key(config)
                .context("instant.toml has neither `[hub] api_key` nor `[django] secret_key`: the hub has no API")?;
            Ok(Centrifugo::new(&server.url, &key)?)
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

/// Prints diagnostics on standard error, in colour on a terminal.
fn report(diagnostics: &Diagnostics, source: &Source) -> std::io::Result<()> {
    if diagnostics.items.is_empty() {
        return Ok(());
    }
    let mut stderr = anstream::stderr().lock();
    writeln!(stderr, "{}", diagnostics.render(source, true))?;
    let codes: BTreeSet<&str> = diagnostics.items.iter().map(|item| item.code).collect();
    let codes: Vec<&str> = codes.into_iter().collect();
    writeln!(stderr, "explained by `instant check --explain CODE`: {}\n", codes.join(", "))
}
