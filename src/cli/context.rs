//! What every command starts with: the configuration that the command line names, and its database.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use secrecy::{ExposeSecret, SecretString};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use crate::capture::{self, watch::Watch};
use crate::config::diagnostic::{Diagnostic, Diagnostics, code};
use crate::config::{self, Config, LoadError, Source};
use crate::mapping::Mapping;
use crate::outbox;

/// Connections of the control plane: one command works on one table at a time.
const POOL_SIZE: u32 = 2;
/// How long a command waits for the database.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What every command may need.
#[derive(Debug)]
pub(crate) struct Context {
    /// The file that the command line names.
    pub(super) config: Option<PathBuf>,
    /// The URL to connect to instead of the file's.
    pub(super) database_url: Option<SecretString>,
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
                .context("there is no instant.toml in this folder or a parent folder; name one with --config"),
        }
    }

    /// Reads the configuration; prints its problems, and fails with [`Reported`] when it cannot be used. What only the database can decide
    /// is left to it.
    pub(crate) fn load(&self) -> anyhow::Result<Config> {
        self.read(|problem| problem.code != code::UNCERTAIN_COLUMN)
    }

    /// The same if no database is asked.
    pub(crate) fn load_alone(&self) -> anyhow::Result<Config> {
        self.read(|_| true)
    }

    /// Reads the configuration, and prints the warnings that `is_told` accepts.
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

/// Connects the control plane. Its driver passes over what it does not know, and would come to another database than the relay, so that what
/// the relay's refuses is refused here too.
pub(super) async fn connect(url: &SecretString) -> anyhow::Result<PgPool> {
    outbox::check_url(url)?;
    PgPoolOptions::new()
        .max_connections(POOL_SIZE)
        .acquire_timeout(CONNECT_TIMEOUT)
        .connect(url.expose_secret())
        .await
        .map_err(|error| match error {
            sqlx::Error::Configuration(_) => anyhow::anyhow!(config::UNREADABLE_URL),
            error => anyhow::Error::from(error).context("the database cannot be reached"),
        })
}

/// Prints diagnostics on standard error, in colour on a terminal.
pub(super) fn report(diagnostics: &Diagnostics, source: &Source) -> std::io::Result<()> {
    if diagnostics.items.is_empty() {
        return Ok(());
    }
    let mut stderr = anstream::stderr().lock();
    writeln!(stderr, "{}", diagnostics.render(source, true))?;
    let codes: BTreeSet<&str> = diagnostics.items.iter().map(|item| item.code).collect();
    let codes: Vec<&str> = codes.into_iter().collect();
    writeln!(stderr, "see `instant check --explain CODE`: {}\n", codes.join(", "))
}
