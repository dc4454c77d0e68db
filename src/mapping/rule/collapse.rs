//! Rules with `collapse`: mapping many changes of one transaction.

use std::borrow::Cow;
use std::sync::Arc;

use minijinja::context;

use super::Rule;
use crate::change::Operation;
use crate::config;
use crate::mapping::collapse::{Group, Member};
use crate::mapping::row::Row;
use crate::mapping::template::{Templates, Text, View};
use crate::mapping::{Origin, Publication};

/// `collapse`, compiled.
#[derive(Debug)]
pub(super) struct CollapseRule {
    above: u32,
    message: Option<Text>,
}

impl CollapseRule {
    pub(super) fn compile(
        templates: &mut Templates,
        name: String,
        collapse: &config::Collapse,
    ) -> Result<Self, minijinja::Error> {
        let message = collapse.message.as_ref();
        Ok(Self {
            above: collapse.above,
            message: message.map(|template| templates.text(name, template)).transpose()?,
        })
    }
}

impl Rule {
    /// Returns the data for merging a publication with others; `None` without `collapse`, and for a truncate, which is one change already.
    pub(super) fn member(&self, origin: &Origin, event_class: &str, row: &Row<'_>) -> Option<Box<Member>> {
        let collapse = self.collapse.as_ref().filter(|_| origin.operation != Operation::Truncate)?;
        let mut pk = Vec::new();
        row.write_pk(&mut pk);
        Some(Box::new(Member {
            above: collapse.above,
            event_class: event_class.into(),
            pk,
        }))
    }

    /// Returns the publication of a group. Its message is the default one if the template fails: the rows that a retry would need are
    /// no longer available.
    pub(in crate::mapping) fn collapsed(&self, templates: &Templates, group: &Group) -> Publication {
        let Group { origin, count, .. } = group;
        let verb = if origin.left { "left" } else { origin.operation.verb() };
        let given = self.collapse.as_ref().and_then(|collapse| collapse.message.as_ref());
        let view = View::new(None, || context! { count, verb, op => origin.what(), model => &self.model });
        let message = given.and_then(|text| templates.render(text, &view).ok());
        let message = message.unwrap_or_else(|| Cow::Owned(format!("{}: {count} {verb}", self.subject)));
        let key = group.key();
        let event = self.frame.encode_group(&key, group, &message);
        Publication {
            origin: origin.clone(),
            channel: Arc::clone(&group.channel),
            event,
            key: Some(key.into()),
            member: None,
        }
    }
}
