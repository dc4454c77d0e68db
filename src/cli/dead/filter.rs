//! Which dead letters a command selects.

use std::io::Write;
use std::str::FromStr;
use std::time::Duration;

use crate::cli::age;
use crate::outbox::LetterFilter;

/// Ids and conditions; a letter must match all of them.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Filter {
    /// Only these, by the ids that `list` shows.
    #[arg(value_name = "ID")]
    ids: Vec<i64>,
    /// Only of this model, or of one of its rules by number: shop.Order or shop.Order/2.
    #[arg(long, value_name = "MODEL[/N]")]
    rule: Option<RuleFilter>,
    /// Only for this channel.
    #[arg(long)]
    channel: Option<String>,
    /// Only with this text in the reason, ignoring case.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Only those parked longer ago: 90s, 30m, 24h, 7d.
    #[arg(long, value_name = "DURATION", value_parser = age::parse)]
    older: Option<Duration>,
    /// Only those parked within this time.
    #[arg(long, value_name = "DURATION", value_parser = age::parse)]
    newer: Option<Duration>,
}

/// The letters that a command changes: those of a filter, or all if that is requested.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Selection {
    #[command(flatten)]
    filter: Filter,
    /// Every dead letter.
    #[arg(long)]
    all: bool,
}

/// A model, and optionally one of its rules.
#[derive(Clone, Debug, PartialEq, Eq)]
struct RuleFilter {
    model: String,
    number: Option<i32>,
}

impl Filter {
    /// Whether it matches every letter.
    fn is_empty(&self) -> bool {
        let narrows = [
            self.rule.is_some(),
            self.channel.is_some(),
            self.reason.is_some(),
            self.older.is_some(),
            self.newer.is_some(),
        ];
        self.ids.is_empty() && !narrows.contains(&true)
    }
}

impl Selection {
    /// The selection; `None`, with a message on standard error, if it is missing or given twice.
    pub(super) fn filter(self) -> std::io::Result<Option<LetterFilter>> {
        if self.filter.is_empty() == self.all {
            return Ok(Some(self.filter.into()));
        }
        writeln!(anstream::stderr(), "give ids or conditions, or `--all` for every dead letter")?;
        Ok(None)
    }
}

impl From<Filter> for LetterFilter {
    fn from(filter: Filter) -> Self {
        let (model, rule) = filter.rule.map_or((None, None), |rule| (Some(rule.model), rule.number));
        Self {
            ids: filter.ids,
            model,
            rule,
            channel: filter.channel,
            reason: filter.reason,
            older: filter.older,
            newer: filter.newer,
        }
    }
}

impl FromStr for RuleFilter {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (model, number) = match text.rsplit_once('/') {
            None => (text, None),
            Some((model, number)) => {
                let number = number.parse().map_err(|_| "a rule's number, from 1, must follow the slash")?;
                (model, Some(number))
            }
        };
        if model.is_empty() {
            return Err("a rule is MODEL or MODEL/N, such as shop.Order/2");
        }
        Ok(Self {
            model: model.to_owned(),
            number,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_a_model_with_or_without_a_number() {
        let parsed = |text: &str| text.parse::<RuleFilter>().map(|rule| (rule.model, rule.number));
        assert_eq!(parsed("shop.Order"), Ok(("shop.Order".to_owned(), None)));
        assert_eq!(parsed("shop.Order/2"), Ok(("shop.Order".to_owned(), Some(2))));
        assert!(parsed("shop.Order/two").is_err());
        assert!(parsed("/2").is_err());
    }
}
