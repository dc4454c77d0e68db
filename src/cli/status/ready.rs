//! `instant status --ready`: what the process on this machine reports of itself, for health checks that support commands but not HTTP.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;

use crate::cli::exit;
use crate::config::Config;

/// How long it may take to answer: it asks nobody else for that.
const PATIENCE: Duration = Duration::from_secs(3);

/// Prints what `/readyz` answers; the exit code reports whether that is yes.
pub(super) async fn run(config: &Config) -> anyhow::Result<ExitCode> {
    let server = config.server.as_ref();
    let server = server.context("instant.toml has no [server]: `instant run` does not report whether it is ready")?;
    let url = format!("{}/readyz", server.local_url());
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
    let answer = client.get(&url).send().await;
    let answer = answer.context("`instant run` does not answer on this machine")?;
    let is_ready = answer.status().is_success();
    writeln!(anstream::stdout(), "{}", answer.text().await?)?;
    Ok(if is_ready {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(exit::DRIFT)
    })
}
