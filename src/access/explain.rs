//! Explanations of why a client may subscribe to a channel or may not: the same checks as for an answer, reported step by step.

use serde::Serialize;

use super::decision::Decision;
use super::error::Error;
use super::lookup::{self, HashKeys, Login};
use super::{Access, Identity, Who};

/// A decision, with the steps that led to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The user; `None` for an anonymous visitor.
    pub user: Option<Person>,
    /// The channels that the server subscribes the client to; `None` if it may not connect.
    pub own_channels: Option<Vec<String>>,
    /// The requested channel.
    pub channel: String,
    /// The rules that match the channel, in the order of evaluation, up to the one that allows it.
    pub rules: Vec<Asked>,
    /// Whether the client may subscribe.
    pub allowed: bool,
    /// The reason, in a sentence.
    pub reason: String,
}

/// A user, as recorded in the database.
#[expect(clippy::struct_excessive_bools, reason = "Django's users have the flags that they have")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Person {
    /// The user's key, or else the requested one.
    pub key: String,
    /// Whether the user exists.
    pub exists: bool,
    /// `is_active`.
    pub is_active: bool,
    /// `is_staff`.
    pub is_staff: bool,
    /// `is_superuser`.
    pub is_superuser: bool,
    /// The names of the groups.
    pub groups: Vec<String>,
}

/// A rule that was evaluated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// The rule's channel, as in `instant.toml`.
    pub rule: String,
    /// Its `allow`: a word, or `a query`.
    pub allow: &'static str,
    /// The variables with their values in this channel.
    pub values: Vec<(String, String)>,
    /// Whether it allows the channel.
    pub lets_in: bool,
}

impl Access {
    /// Explains why the user with this key, or an anonymous visitor, may subscribe to `channel` or may not.
    ///
    /// # Errors
    /// When the database does not answer in time, or a rule's query is broken.
    pub async fn explain(&self, key: Option<&str>, channel: &str) -> Result<Explanation, Error> {
        let (person, who) = match key {
            None => (None, Who::Visitor),
            Some(key) => {
                let found = self.in_time(self.person(key)).await;
                let (person, who) = found.map_err(|error| self.about_users(error))?;
                (Some(person), who)
            }
        };
        let mut rules = Vec::new();
        let decision = self.decide(&who, channel, |rule, values, allowed| rules.push(rule.asked(values, allowed)));
        let decision = decision.await?;
        let as_visitor = match &person {
            Some(user) if !user.exists => "there is no such user, and a session of one counts as anonymous: ",
            Some(user) if !user.is_active => "the user is not active, and counts as anonymous: ",
            _ => "",
        };
        Ok(Explanation {
            own_channels: self.channels(&who),
            user: person,
            channel: channel.to_owned(),
            allowed: decision.is_allowed(),
            reason: format!("{as_visitor}{}", reason(decision, &rules)),
            rules,
        })
    }

    /// Returns the user with this key, and who that is: an anonymous visitor, unless the user exists and is active.
    async fn person(&self, key: &str) -> Result<(Person, Who), Error> {
        let login = Login {
            place: 0,
            user: key.to_owned(),
            hash: None,
            expires: None,
        };
        let found = if key.contains('\0') {
            None
        } else {
            lookup::users(&self.pool, &[login], &HashKeys::none()).await?.pop()
        };
        let mut person = Person {
            key: key.to_owned(),
            exists: found.is_some(),
            is_active: false,
            is_staff: false,
            is_superuser: false,
            groups: Vec::new(),
        };
        let Some((_, user)) = found else {
            return Ok((person, Who::Visitor));
        };
        person.is_active = user.is_active;
        let identity: Identity = user.identity(None);
        person.key.clone_from(&identity.user);
        person.is_staff = identity.is_staff;
        person.is_superuser = identity.is_superuser;
        person.groups.clone_from(&identity.groups);
        let who = if person.is_active { Who::User(identity) } else { Who::Visitor };
        Ok((person, who))
    }
}

/// Returns a decision's reason; `rules` are those that were evaluated.
fn reason(decision: Decision, rules: &[Asked]) -> String {
    let reason = match (decision, rules) {
        (Decision::MayNotConnect, _) => "anonymous visitors may not connect: `[channels] anonymous` is false",
        (Decision::OwnChannel, _) => "it is one of the channels that the server subscribes to by itself",
        (Decision::ByRule, [.., asked]) => return format!("the rule `{}` allows it: {}", asked.rule, asked.allow),
        (Decision::ByRule | Decision::Refused, []) => "it is not a channel of this user, and no rule matches it",
        (Decision::Refused, [_]) => "the only rule that matches it does not allow it",
        (Decision::Refused, _) => "none of the rules that match it allows it",
    };
    reason.to_owned()
}
