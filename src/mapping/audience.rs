//! The channels that rules name independently of rows, to which resyncs are published.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::event::{head, site_member, tail};
use super::{Origin, Publication, RuleName, channel};
use crate::change::Operation;

/// The event class of a resync: changes were lost, and pages that show rows should reload them.
pub const RESYNC: &str = "instant.resync";
/// The message of a resync.
const MESSAGE: &str = "Some changes were lost: load again what you show";

/// The channels of all rules, as far as they do not depend on a row.
#[derive(Debug)]
pub(super) struct Audience {
    /// The `site` member of every event.
    site: Vec<u8>,
    prefix: String,
    channels: BTreeSet<Arc<str>>,
}

impl Audience {
    pub(super) fn new(site: Option<&str>, prefix: &str) -> Self {
        Self {
            site: site_member(site),
            prefix: prefix.to_owned(),
            channels: BTreeSet::new(),
        }
    }

    /// Adds a rule's channel; if it depends on the row (`None`), `public` in its place.
    pub(super) fn add(&mut self, channel: Option<&Arc<str>>) {
        let channel = channel.map_or_else(|| format!("{}{}", self.prefix, channel::PUBLIC).into(), Arc::clone);
        self.channels.insert(channel);
    }

    /// Returns one resync per channel, after `lost` changes in total. A count recurs if the sequence is set back; a time does not.
    pub(super) fn resync(&self, lost: i64, at: Timestamp) -> Vec<Publication> {
        let key: Arc<str> = format!("lost-{lost}-{:x}", at.as_microsecond()).into();
        let rule = Arc::new(RuleName {
            source: String::new(),
            model: RESYNC.to_owned(),
            number: 0,
        });
        let publication = |channel: &Arc<str>| Publication {
            // It names no row, like a truncate.
            origin: Origin {
                change_id: lost,
                at,
                operation: Operation::Truncate,
                rule: Arc::clone(&rule),
                left: false,
            },
            channel: Arc::clone(channel),
            event: self.event(channel, &key, at),
            key: Some(Arc::clone(&key)),
            member: None,
        };
        self.channels.iter().map(publication).collect()
    }

    /// Returns the event, with the members that every event has.
    fn event(&self, channel: &str, id: &str, at: Timestamp) -> Vec<u8> {
        let mut out = head(RESYNC, MESSAGE, channel, &self.site);
        out.extend_from_slice(b",\"data\":{}");
        let write_id = |out: &mut Vec<u8>| out.extend_from_slice(id.as_bytes());
        tail(&mut out, write_id, at, b",\"model\":null", "resync");
        out.extend_from_slice(b",\"pk\":null}");
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resync_has_the_members_of_every_event_and_names_no_row() {
        let at = Timestamp::from_microsecond(1_795_521_600_123_456).unwrap();
        let event = |site| {
            let mut audience = Audience::new(site, "shop:");
            audience.add(None);
            let publication = audience.resync(3, at).remove(0);
            (publication.channel.to_string(), String::from_utf8(publication.event).unwrap())
        };
        let text = r#"{"event_class":"instant.resync","message":"Some changes were lost: load again what you show","channel":"shop:public","site":"Shop","data":{},"id":"lost-3-6610473297240","at":"2026-11-24T12:00:00.123Z","model":null,"op":"resync","pk":null}"#;
        assert_eq!(event(Some("Shop")), ("shop:public".to_owned(), text.to_owned()));
        assert_eq!(event(None).1, text.replace(r#","site":"Shop""#, ""));
    }
}
