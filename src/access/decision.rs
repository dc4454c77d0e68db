//! The decision about a channel, for answers and for `doctor --as`.

use super::error::Error;
use super::rule::Rule;
use super::{Access, Who};

/// Whether a client may subscribe to a channel, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Refused: anonymous visitors may not connect.
    MayNotConnect,
    /// Allowed: the server itself subscribes the client to it.
    OwnChannel,
    /// Allowed: by the last rule that was evaluated.
    ByRule,
    /// Refused: no rule that matches it allows it.
    Refused,
}

impl Decision {
    pub(super) const fn is_allowed(self) -> bool {
        matches!(self, Self::OwnChannel | Self::ByRule)
    }
}

impl Access {
    /// Returns whether `who` may subscribe to `channel`: one of their own, or one that a rule allows.
    ///
    /// # Errors
    /// When the database does not answer in time, or a rule's query is broken.
    pub async fn may_subscribe(&self, who: &Who, channel: &str) -> Result<bool, Error> {
        self.decide(who, channel, |_, _, _| {}).await.map(Decision::is_allowed)
    }

    /// Decides, and calls `asked` with each evaluated rule that matches the channel, its variables' values and its answer.
    pub(super) async fn decide(
        &self,
        who: &Who,
        channel: &str,
        mut asked: impl FnMut(&Rule, Vec<String>, bool) + Send,
    ) -> Result<Decision, Error> {
        let Some(own) = self.channels(who) else {
            return Ok(Decision::MayNotConnect);
        };
        if own.iter().any(|own| own == channel) {
            return Ok(Decision::OwnChannel);
        }
        for rule in &self.rules {
            let Some(values) = rule.values(channel) else { continue };
            let allowed = self.in_time(rule.allows(&self.pool, &self.queries, who, &values)).await?;
            asked(rule, values, allowed);
            if allowed {
                return Ok(Decision::ByRule);
            }
        }
        Ok(Decision::Refused)
    }
}
