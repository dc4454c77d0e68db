//! The namespaces of a configuration's channels. Centrifugo has channel options per namespace.

use std::collections::BTreeMap;

use super::channel::name::{self, is_namespace};
use super::{ChannelRule, Config, Destination};

impl Config {
    /// Returns the namespaces named by a channel rule, a watch rule or the targets' prefix, each with one of its channel rules, if
    /// any. The rules of a namespace have the same options.
    #[must_use]
    pub fn namespaces(&self) -> BTreeMap<String, Option<&ChannelRule>> {
        let mut found: BTreeMap<String, Option<&ChannelRule>> = BTreeMap::new();
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

/// Returns the namespace of a channel, or of a template that begins with one.
fn namespace(text: &str) -> Option<&str> {
    name::namespace(text).filter(|name| is_namespace(name))
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Source};

    #[test]
    fn the_prefix_of_a_private_channel_is_not_part_of_its_namespace() {
        let text = "[database]\nurl = 'postgres://a'\n[channels]\nprefix = '$shop:'\n[[watch]]\nmodel = 'shop.Order'\n\
                    [[watch.rule]]\nchannel = '$room:{{ row.id }}'\n";
        let source = Source {
            path: "instant.toml".into(),
            text: text.into(),
        };
        let (config, _) = Config::parse(source, &|_| None);
        assert!(config.unwrap().namespaces().into_keys().eq(["room", "shop"]));
    }
}
