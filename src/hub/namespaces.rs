//! The options of channels, per namespace, as in Centrifugo.

use std::collections::HashMap;

use super::code::Error;
use crate::config::Config;
use crate::config::channel::{self, History, Publish};

/// The namespaces of a configuration, each with its options.
#[derive(Debug, Default)]
pub(super) struct Namespaces {
    options: HashMap<String, Options>,
}

/// A channel's options.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) history: Option<History>,
    /// Whether subscribers are listed, and notified of those who join and leave.
    pub(super) presence: bool,
    /// Whether clients that reconnect receive the publications that they missed.
    pub(super) recover: bool,
    /// Which subscribers may publish.
    pub(super) publish: Option<Publish>,
}

impl Namespaces {
    pub(super) fn new(config: &Config) -> Self {
        let options = config.namespaces().into_iter().map(|(name, channel)| {
            let options = channel.map_or_else(Options::default, |channel| Options {
                history: channel.history,
                presence: channel.presence,
                recover: channel.recover,
                publish: channel.publish,
            });
            (name, options)
        });
        Self {
            options: options.collect(),
        }
    }

    /// Returns the options of a channel; the default ones if it has no namespace, like the channels of targets.
    pub(super) fn of(&self, channel: &str) -> Result<Options, Error> {
        if channel.is_empty() {
            return Err(Error::BAD_REQUEST);
        }
        match channel::namespace(channel) {
            None => Ok(Options::default()),
            Some(namespace) => self.options.get(namespace).copied().ok_or(Error::UNKNOWN_CHANNEL),
        }
    }

    /// Like [`Self::of`], for a channel named by a client, which may be anything.
    pub(super) fn of_named(&self, channel: &str) -> Result<Options, Error> {
        let options = self.of(channel)?;
        if channel.len() > channel::MAX_BYTES || !channel.is_ascii() {
            return Err(Error::BAD_REQUEST);
        }
        Ok(options)
    }
}
