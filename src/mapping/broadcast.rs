//! Messages sent by hand, with `instant.broadcast`.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::event::{head, member, site_member, tail};
use super::{Origin, Publication, RuleName, channel};
use crate::change::Change;

/// The name in place of a rule and a model for messages, which have neither, in logs and dead letters.
const NAME: &str = "instant.broadcast";

/// The mapping of messages to publications.
#[derive(Debug)]
pub(super) struct Broadcasts {
    /// The `site` member of every message that names no other site.
    site: Vec<u8>,
    prefix: String,
    rule: Arc<RuleName>,
}

/// A message, as the function has written it; null members are left out of the event.
#[derive(Debug, Deserialize)]
#[expect(clippy::struct_field_names, reason = "the names that the event has")]
struct Message<'a> {
    #[serde(borrow)]
    message: Cow<'a, str>,
    #[serde(borrow)]
    event_class: Cow<'a, str>,
    target: Option<String>,
    channel: Option<String>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    bucket: Option<String>,
    site: Option<String>,
}

impl Broadcasts {
    /// Creates the mapping. Messages carry `site` unless they name another; channels of targets begin with `prefix`.
    pub(super) fn new(site: Option<&str>, prefix: &str) -> Self {
        Self {
            site: site_member(site),
            prefix: prefix.to_owned(),
            rule: Arc::new(RuleName {
                source: NAME.to_owned(),
                model: NAME.to_owned(),
                number: 0,
            }),
        }
    }

    /// Returns the origin of a message's publication.
    pub(super) fn origin(&self, change: &Change<'_>) -> Origin {
        Origin {
            change_id: change.id,
            at: change.at,
            operation: change.operation,
            rule: Arc::clone(&self.rule),
            left: false,
        }
    }

    /// Returns the publication of a message.
    ///
    /// # Errors
    /// When no version of the function writes such a message. The reason is human-readable.
    pub(super) fn publication(&self, change: &Change<'_>) -> Result<Publication, String> {
        let message: Message<'_> =
            serde_json::from_str(change.new.unwrap_or("null")).map_err(|error| format!("the message: {error}"))?;
        let channel: Arc<str> = match (&message.channel, &message.target) {
            (Some(channel), _) => channel.as_str().into(),
            (None, None) => self.target(channel::PUBLIC)?.into(),
            (None, Some(target)) => self.target(target)?.into(),
        };
        let origin = self.origin(change);
        let event = self.event(&message, &origin, &channel);
        Ok(Publication {
            origin,
            channel,
            event,
            key: None,
            member: None,
        })
    }

    /// Returns the channel of a target: a word, `group:NAME` or `#ID`.
    fn target(&self, target: &str) -> Result<String, String> {
        let channel = match target {
            channel::PUBLIC | channel::USERS | channel::STAFF | channel::SUPERUSER => target.to_owned(),
            _ => match (target.strip_prefix("group:"), target.strip_prefix('#')) {
                (Some(group), _) => channel::group(group),
                (None, Some(user)) => channel::personal(user),
                (None, None) => return Err(format!("target: `{target}` is not a target")),
            },
        };
        Ok(format!("{}{channel}", self.prefix))
    }

    /// Returns the event, in the shape of a row's, but without a model and a key, since it is not about a row.
    fn event(&self, message: &Message<'_>, origin: &Origin, channel: &str) -> Vec<u8> {
        let own = message.site.as_deref().map(|site| site_member(Some(site)));
        let site = own.as_ref().unwrap_or(&self.site);
        let mut out = head(&message.event_class, &message.message, channel, site);
        if let Some(bucket) = &message.bucket {
            out.extend(member("bucket", bucket));
        }
        out.extend_from_slice(b",\"data\":");
        out.extend_from_slice(message.data.map_or("{}", RawValue::get).as_bytes());
        tail(&mut out, |out| origin.write_key(out), origin.at, b"", origin.operation.name());
        out.push(b'}');
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::Operation;

    fn publish(prefix: &str, new: &str) -> Result<Publication, String> {
        let at = jiff::Timestamp::from_microsecond(1_795_521_600_123_456).unwrap();
        let change = Change {
            id: 7,
            at,
            source: NAME,
            operation: Operation::Broadcast,
            old: None,
            new: Some(new),
        };
        Broadcasts::new(Some("Shop"), prefix).publication(&change)
    }

    #[test]
    fn a_message_is_an_event_without_a_row_and_its_data_is_published_as_written() {
        let new = r#"{"message":"a \"b\"","event_class":"test","target":null,"channel":null,"data":{"n": 1.0, "big":12345678901234567890123},"bucket":null,"site":null}"#;
        let publication = publish("shop:", new).unwrap();
        assert_eq!(&*publication.channel, "shop:public");
        assert_eq!(
            String::from_utf8(publication.event).unwrap(),
            r#"{"event_class":"test","message":"a \"b\"","channel":"shop:public","site":"Shop","data":{"n": 1.0, "big":12345678901234567890123},"id":"7-6610473297240-0","at":"2026-11-24T12:00:00.123Z","op":"broadcast"}"#
        );
    }

    #[test]
    fn a_target_means_the_same_channel_as_in_a_rule_and_a_channel_is_used_as_written() {
        for (member, channel) in [
            (r#""target":"staff""#, "shop:staff"),
            (r#""target":"group:Night shift""#, "shop:group.Night%20shift"),
            (r##""target":"#42""##, "shop:#42"),
            (r#""channel":"room:1""#, "room:1"),
        ] {
            let new = format!(r#"{{"message":"","event_class":"default",{member},"bucket":"b","site":"Other"}}"#);
            let publication = publish("shop:", &new).unwrap();
            assert_eq!(&*publication.channel, channel);
            let event = String::from_utf8(publication.event).unwrap();
            assert!(event.contains(r#""site":"Other","bucket":"b","data":{},"#), "{event}");
        }
        assert_eq!(
            publish("", r#"{"message":"","event_class":"x","target":"everyone"}"#).unwrap_err(),
            "target: `everyone` is not a target"
        );
    }
}
