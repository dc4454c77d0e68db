//! Why somebody may listen to a channel, or may not: the same questions as for an answer, told step by step.

use serde::Serialize;

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
        let mut explanation = Explanation {
            own_channels: self.channels(&who),
            user: person,
            channel: channel.to_owned(),
            rules: Vec::new(),
            allowed: false,
            reason: String::new(),
        };
        let (allowed, reason) = self.decide(&who, &mut explanation).await?;
        let as_visitor = match &explanation.user {
            Some(user) if !user.exists => "there is no such user, and a session of one counts as a visitor's: ",
            Some(user) if !user.is_active => "the user is not active, and counts as a visitor: ",
            _ => "",
        };
        explanation.allowed = allowed;
        explanation.reason = format!("{as_visitor}{reason}");
        Ok(explanation)
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

    async fn decide(&self, who: &Who, explanation: &mut Explanation) -> Result<(bool, String), Error> {
        let Some(own) = &explanation.own_channels else {
            let reason = "visitors may not connect: `[channels] anonymous` is false";
            return Ok((false, reason.to_owned()));
        };
        if own.contains(&explanation.channel) {
            let reason = "it is one of the channels that the server subscribes to by itself";
            return Ok((true, reason.to_owned()));
        }
        for rule in &self.rules {
            let Some(values) = rule.values(&explanation.channel) else {
                continue;
            };
            let lets_in = self.in_time(rule.lets_in(&self.pool, &self.queries, who, &values)).await?;
            let asked = rule.asked(values, lets_in);
            let reason = format!("the rule `{}` lets in: {}", asked.rule, asked.allow);
            explanation.rules.push(asked);
            if lets_in {
                return Ok((true, reason));
            }
        }
        let reason = match explanation.rules.len() {
            0 => "it is no channel of this user, and no rule speaks of it",
            1 => "the one rule that speaks of it does not let in",
            _ => "none of the rules that speak of it lets in",
        };
        Ok((false, reason.to_owned()))
    }
}
