//! The namespaces of the channels that a configuration speaks of. Centrifugo keeps a channel's options by them.

use std::collections::BTreeMap;

use super::channel::name::is_namespace;
use super::{Channel, Config, Destination};

impl Config {
    /// The namespaces that a channel rule, a watch rule or the targets' prefix names, each with a channel rule of it, if there is
    /// one. The rules of a namespace agree in their options.
    #[must_use]
    pub fn namespaces(&self) -> BTreeMap<String, Option<&Channel>> {
        let mut found: BTreeMap<String, Option<&Channel>> = BTreeMap::new();
        let rules = self.watches.iter().flat_map(|watch| &watch.rules);
        let published = rules.filter_map(|rule| match &rule.destination {
            Destination::Channel(template) => namespace(&template.text),
            _ => None,
        });
        for name in published.chain(namespace(&self.prefix)) {
            found.entry(name.to_owned()).or_default();
        }
        for channel in &self.channels {
            found.insert(channel.namespace().to_owned(), Some(channel));
        }
        found
    }
}

/// The namespace of a channel or of a template that begins with one.
fn namespace(text: &str) -> Option<&str> {
    let (name, _) = text.split_once(':')?;
    is_namespace(name).then_some(name)
}
