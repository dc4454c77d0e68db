//! The channels that rules name beforehand: whom a word to everyone reaches.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;

use jiff::Timestamp;

use super::event::{write_string, write_time};
use super::{Origin, Publication, RuleName, channel};
use crate::change::Operation;

/// The event class of a resync: changes were lost, and whoever shows rows should load them again.
pub const RESYNC: &str = "instant.resync";

/// The channels of all rules, as far as they are known without a row.
#[derive(Debug)]
pub(super) struct Audience {
    site: Option<String>,
    prefix: String,
    channels: BTreeSet<Arc<str>>,
}

impl Audience {
    pub(super) fn new(site: Option<&str>, prefix: &str) -> Self {
        Self {
            site: site.map(str::to_owned),
            prefix: prefix.to_owned(),
            channels: BTreeSet::new(),
        }
    }

    /// Adds a rule's channel; none: it depends on the row, and what everyone hears stands in for it.
    pub(super) fn add(&mut self, channel: Option<&Arc<str>>) {
        let channel = channel.map_or_else(|| format!("{}{}", self.prefix, channel::PUBLIC).into(), Arc::clone);
        self.channels.insert(channel);
    }

    /// One resync for each channel, after `lost` changes in all. A count comes again where the sequence is set back, a moment does not.
    pub(super) fn resync(&self, lost: i64, at: Timestamp) -> Vec<Publication> {
        let key: Arc<str> = format!("lost-{lost}-{:x}", at.as_microsecond()).into();
        let rule = Arc::new(RuleName {
            source: String::new(),
            model: RESYNC.to_owned(),
            number: 0,
        });
        let publication = |channel: &Arc<str>| Publication {
            // It names no row, as a truncate.
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

    /// The event, with the members that every event has.
    fn event(&self, channel: &str, id: &str, at: Timestamp) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        // Writing to a Vec cannot fail.
        let _ = write!(
            out,
            "{{\"event_class\":\"{RESYNC}\",\"message\":\"Some changes were lost: load again what you show\",\"channel\":"
        );
        write_string(&mut out, channel);
        if let Some(site) = &self.site {
            out.extend_from_slice(b",\"site\":");
            write_string(&mut out, site);
        }
        let _ = write!(out, ",\"data\":{{}},\"id\":\"{id}\",\"at\":\"");
        write_time(&mut out, at);
        out.extend_from_slice(b"\",\"model\":null,\"op\":\"resync\",\"pk\":null}");
        out
    }
}
