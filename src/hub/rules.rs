//! What the hub keeps of a channel, by its namespace, as Centrifugo does.

use std::collections::HashMap;

use super::code::Error;
use crate::config::Config;
use crate::config::channel::{self, History, Publish};

/// Bytes of the longest channel that a client may name.
pub(super) const LONGEST_CHANNEL: usize = 255;

/// The namespaces of a configuration.
#[derive(Debug, Default)]
pub(super) struct Rules {
    namespaces: HashMap<String, Options>,
}

/// What a channel keeps and allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) history: Option<History>,
    /// Subscribers are listed, and told who comes and goes.
    pub(super) presence: bool,
    /// Clients that were away get what they missed.
    pub(super) recover: bool,
    /// Which subscribers may publish.
    pub(super) publish: Option<Publish>,
}

impl Rules {
    pub(super) fn new(config: &Config) -> Self {
        let namespaces = config.namespaces().into_iter().map(|(name, channel)| {
            let options = channel.map_or_else(Options::default, |channel| Options {
                history: channel.history,
                presence: channel.presence,
                recover: channel.recover,
                publish: channel.publish,
            });
            (name, options)
        });
        Self {
            namespaces: namespaces.collect(),
        }
    }

    /// The options of a channel. A channel without a namespace has none of them, such as those of targets.
    pub(super) fn of(&self, channel: &str) -> Result<Options, Error> {
        if channel.is_empty() {
            return Err(Error::BAD_REQUEST);
        }
        match channel::namespace(channel) {
            None => Ok(Options::default()),
            Some(namespace) => self.namespaces.get(namespace).copied().ok_or(Error::UNKNOWN_CHANNEL),
        }
    }

    /// The same for a channel that a client names, which may be anything.
    pub(super) fn of_named(&self, channel: &str) -> Result<Options, Error> {
        let options = self.of(channel)?;
        if channel.len() > LONGEST_CHANNEL || !channel.is_ascii() {
            return Err(Error::BAD_REQUEST);
        }
        Ok(options)
    }
}
