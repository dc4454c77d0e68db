//! Why somebody may listen to a channel, or may not: the same questions as for an answer, told step by step.

use serde::Serialize;

use super::decision::Decision;
use super::error::Error;
use super::lookup::{self, HashKeys, Login};
use super::{Access, Identity, Who};

/// A decision with what led to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The user; none: a visitor.
    pub user: Option<Person>,
    /// The channels that the server subscribes to; none: this one may not connect.
    pub own_channels: Option<Vec<String>>,
    /// The channel that is asked for.
    pub channel: String,
    /// The rules that speak of the channel, in the order in which they are asked, up to the one that lets in.
    pub rules: Vec<Asked>,
    /// The decision.
    pub allowed: bool,
    /// Why, in a sentence.
    pub reason: String,
}

/// What the database knows of a user.
#[expect(clippy::struct_excessive_bools, reason = "Django's users have the flags that they have")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Person {
    /// The key that is asked about.
    pub key: String,
    /// Whether there is such a user.
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

/// A rule that was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// The rule, as it is named in `instant.toml`.
    pub rule: String,
    /// Its `allow`: a word, or `a query`.
    pub allow: &'static str,
    /// The variables with their values in this channel.
    pub values: Vec<(String, String)>,
    /// Whether it lets in.
    pub lets_in: bool,
}

impl Access {
    /// Why the user of this key, or a visitor, may listen to `channel`, or may not.
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
        let decision = self.decide(&who, channel, |rule, values, lets_in| rules.push(rule.asked(values, lets_in)));
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

    /// The user of this key, also one that is not active, who is a visitor then.
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

/// A decision in words; `rules` are those that were asked.
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
