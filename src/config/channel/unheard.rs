//! Channels of rules that nobody may subscribe to, as far as the file alone determines.

use super::ChannelRule;
use super::name::{GROUP, literals, namespace};
use crate::config::diagnostic::{Diagnostic, code};
use crate::config::nearest::did_you_mean;
use crate::config::parser::Parser;
use crate::config::{Destination, Rule};

/// The channels of targets that are a single word.
const WORDS: [&str; 4] = ["public", "users", "staff", "superuser"];
/// The prefixes of the channels of the other targets.
const OTHERS: [&str; 2] = ["#", GROUP];

/// Reports the rules whose channel neither belongs to a target, under `prefix`, nor matches any of `channels`; without users, also
/// those whose target is users.
pub(in crate::config) fn check<'a>(
    rules: impl Iterator<Item = &'a Rule>,
    channels: &[ChannelRule],
    prefix: &str,
    has_users: bool,
    parser: &mut Parser<'_>,
) {
    for rule in rules {
        let template = match &rule.destination {
            Destination::Channel(template) => template,
            Destination::Public => continue,
            _ if has_users => continue,
            _ => {
                let message = "nobody receives this rule's events, since without `[django]` everybody is anonymous";
                let problem = Diagnostic::warning(code::UNHEARD_CHANNEL, rule.span.clone(), message, "for users only");
                parser.report(problem.help("add `[django]` with `secret_key`, or set `target = \"public\"`".to_owned()));
                continue;
            }
        };
        let Some(head) = Head::of(&template.text).filter(|head| !head.is_reachable(channels, prefix)) else {
            continue;
        };
        let message = "nobody may subscribe to this channel, since no table of `[channels]` matches it";
        let problem = Diagnostic::warning(code::UNHEARD_CHANNEL, template.span.clone(), message, "no subscribers");
        let name = namespace(head.text);
        let help = match channels.iter().find(|channel| name == Some(channel.namespace())) {
            Some(near) => format!("`[channels.\"{}\"]` matches other channels", near.pattern.text()),
            None => name
                .and_then(|name| did_you_mean(name, channels.iter().map(ChannelRule::namespace)))
                .unwrap_or_else(|| "add one, such as `[channels.\"room:{id}\"]`, or publish to a `target`".to_owned()),
        };
        parser.report(problem.help(help));
    }
}

/// The constant beginning of a rule's channels.
struct Head<'a> {
    text: &'a str,
    /// Whether nothing follows it.
    is_all: bool,
}

impl<'a> Head<'a> {
    /// Returns the head of a template; `None` if the row determines how its channels begin.
    fn of(template: &'a str) -> Option<Self> {
        let first = literals(template)?.into_iter().next().filter(|range| range.start == 0)?;
        Some(Self {
            is_all: first.end == template.len(),
            text: &template[first],
        })
    }

    /// Returns whether anybody may subscribe to one of the channels.
    fn is_reachable(&self, channels: &[ChannelRule], prefix: &str) -> bool {
        let is_target = self.text.strip_prefix(prefix).is_some_and(|rest| {
            let is = |word: &&str| if self.is_all { *word == rest } else { word.starts_with(rest) };
            WORDS.iter().any(is) || OTHERS.iter().any(|start| self.begins(rest, start))
        });
        let is_matched = |channel: &ChannelRule| {
            if self.is_all {
                channel.pattern.values(self.text).is_some()
            } else {
                self.begins(self.text, channel.pattern.head())
            }
        };
        is_target || channels.iter().any(is_matched) || !self.is_all && prefix.starts_with(self.text)
    }

    /// Returns whether `text`, a suffix of the head, begins with `start`, or may do so with the text that follows it.
    fn begins(&self, text: &str, start: &str) -> bool {
        text.starts_with(start) || !self.is_all && start.starts_with(text)
    }
}
