//! `doctor --as`: why a user may or may not subscribe to a channel.

use std::io::Write;
use std::process::ExitCode;

use crate::access::{Access, Explanation};
use crate::config::Config;

/// Prints why the user with this key, or an anonymous visitor if it is empty, may or may not subscribe to `channel`.
pub(super) async fn explain(config: &Config, user: &str, channel: &str, json: bool) -> anyhow::Result<ExitCode> {
    let key = (!user.is_empty()).then_some(user);
    anyhow::ensure!(
        key.is_none() || config.django.is_some(),
        "instant.toml has no [django]: everyone is anonymous, which is `--as ''`"
    );
    let explanation = Access::new(config)?.explain(key, channel).await?;
    let mut stdout = anstream::stdout().lock();
    if json {
        writeln!(stdout, "{}", serde_json::to_string_pretty(&explanation)?)?;
    } else {
        write!(stdout, "{}", text(&explanation))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn text(explanation: &Explanation) -> String {
    let mut lines = Vec::new();
    match &explanation.user {
        None => lines.push(("user", "anonymous".to_owned())),
        Some(user) if !user.exists => lines.push(("user", format!("{}: no such user", user.key))),
        Some(user) => {
            let active = if user.is_active { "active" } else { "not active" };
            let (staff, superuser) = (yes(user.is_staff), yes(user.is_superuser));
            lines.push((
                "user",
                format!("{}: {active}, staff {staff}, superuser {superuser}", user.key),
            ));
            lines.push(("groups", listed(&user.groups)));
        }
    }
    lines.push((
        "own channels",
        listed(explanation.own_channels.as_deref().unwrap_or_default()),
    ));
    for asked in &explanation.rules {
        let values: Vec<String> = asked.values.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        let with = if values.is_empty() {
            String::new()
        } else {
            format!(", with {}", values.join(", "))
        };
        let answer = if asked.lets_in { "allows" } else { "refuses" };
        lines.push(("rule", format!("{} ({}){with}: {answer}", asked.rule, asked.allow)));
    }
    let decision = if explanation.allowed { "allowed" } else { "refused" };
    lines.push((decision, explanation.reason.clone()));
    let lines: Vec<String> = lines
        .into_iter()
        .map(|(name, value)| format!("{name:<13} {value}\n"))
        .collect();
    lines.concat()
}

const fn yes(flag: bool) -> &'static str {
    if flag { "yes" } else { "no" }
}

fn listed(names: &[String]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}
