//! `instant token`: a connection token for scripts.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context as _;

use super::Context;
use crate::access::token::{self, Claims};
use crate::access::{self, Access, Who};

/// Print a connection token for a user, for scripts.
///
/// The token is for Centrifugo or the hub, for an active user, with the channels that the user receives.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  instant token --user 42 --minutes 5")]
pub(super) struct Args {
    /// The user's primary key.
    #[arg(long, value_name = "ID")]
    user: String,
    /// Lifetime of the token.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=1440))]
    minutes: u64,
}

pub(super) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let config = context.load()?;
    anyhow::ensure!(config.django.is_some(), "instant.toml has no [django]: set where users are");
    let secret = token::secret(&config).context("instant.toml has no key to sign tokens with")?;
    let access = Access::new(&config)?;
    let user = access.user(&args.user).await?;
    let who = Who::User(user.with_context(|| format!("there is no active user `{}`", args.user))?);
    let now = access::now();
    let claims = Claims {
        iss: token::ISSUER,
        sub: who.key(),
        exp: now + args.minutes * 60,
        iat: now,
        channels: &access.channels(&who).unwrap_or_default(),
        sid: "",
    };
    writeln!(anstream::stdout(), "{}", token::sign(&claims, &secret)?)?;
    Ok(ExitCode::SUCCESS)
}
