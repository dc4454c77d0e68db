//! `instant send`: sends a message by hand.

use std::io::Write;
use std::process::ExitCode;

use super::Context;
use crate::outbox::{Message, Operator};

/// Send a message by hand.
///
/// The message goes to browsers, like that of `instant.broadcast` in SQL; without a target or a channel, to everyone. `instant run`
/// publishes it, now or when it starts.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  instant send \"Back in five minutes\"\n  \
                        instant send \"New order\" --target staff --event-class order --data '{\"number\": 17}'")]
pub(super) struct Args {
    /// Human-readable text.
    message: String,
    /// Who receives it: public, users, staff, superuser, group:NAME, or #ID for one user.
    #[arg(long, value_name = "TARGET", conflicts_with = "channel")]
    target: Option<String>,
    /// Publish to this channel instead of a target; `[channels] prefix` is not prepended.
    #[arg(long, value_name = "NAME")]
    channel: Option<String>,
    /// String that browsers dispatch on.
    #[arg(long, value_name = "CLASS", default_value = "default")]
    event_class: String,
    /// The event's data, a JSON object.
    #[arg(long, value_name = "JSON", value_parser = object)]
    data: Option<String>,
    /// Name that browsers may group messages by.
    #[arg(long, value_name = "NAME")]
    bucket: Option<String>,
    /// The site's name [default: the configured one].
    #[arg(long, value_name = "NAME")]
    site: Option<String>,
}

pub(super) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let config = context.load()?;
    let operator = Operator::connect(&config.database.url).await?;
    let message = Message {
        text: args.message,
        event_class: args.event_class,
        target: args.target,
        data: args.data,
        channel: args.channel,
        bucket: args.bucket,
        site: args.site,
    };
    operator.broadcast(&message).await?;
    writeln!(anstream::stdout(), "sent")?;
    Ok(ExitCode::SUCCESS)
}

/// The text of a JSON object, unchanged.
fn object(text: &str) -> Result<String, String> {
    match serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("not a JSON object: {error}")),
    }
}
