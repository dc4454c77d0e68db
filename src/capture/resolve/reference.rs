//! The references of a rule to the row.

use crate::config::{Destination, Reference, Rule, Span};

/// Iterates over the references of a rule's condition and templates, with the position of the text that contains them.
pub(super) fn references(rule: &Rule) -> impl Iterator<Item = (&Reference, &Span)> {
    let channel = match &rule.destination {
        Destination::Channel(template) | Destination::Group(template) => Some(template),
        _ => None,
    };
    let templates = [channel, rule.event_class.as_ref(), rule.message.as_ref()];
    let of_templates = templates
        .into_iter()
        .flatten()
        .map(|template| (&template.references, &template.span));
    rule.when
        .iter()
        .map(|when| (&when.references, &when.span))
        .chain(of_templates)
        .flat_map(|(references, span)| references.iter().map(move |reference| (reference, span)))
}
