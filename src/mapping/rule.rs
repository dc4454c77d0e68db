//! A compiled rule.

mod collapse;
mod compile;
mod departure;
mod silence;

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;

use minijinja::Value;

use super::event::Frame;
use super::related::{RelatedValue, RelationId};
use super::row::{Row, plain};
use super::template::{Reads, Templates, Text, View};
use super::{Origin, Publication, RuleName, channel};
use crate::change::{Change, Operation, Operations};

use collapse::CollapseRule;
pub(super) use compile::Compiler;

/// A rule, compiled for mapping changes.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) name: Arc<RuleName>,
    on: Operations,
    changed: Vec<String>,
    when: Option<Text>,
    follow: bool,
    moved_by: Vec<String>,
    destination: Destination,
    event_class: Option<Text>,
    /// "Order created", …, in the order of [`Operation::ALL`], for rules without an event class.
    default_classes: [String; 4],
    /// "Order left", the event class of departures.
    left: String,
    message: Option<Text>,
    /// The model's bare name, for rules without a message.
    subject: String,
    model: Arc<str>,
    frame: Frame,
    collapse: Option<CollapseRule>,
    /// The names that the templates read.
    reads: Reads,
    /// The relations that it reads from the row and from the former row.
    related: [Vec<RelationId>; 2],
}

/// The destination of the publications.
#[derive(Debug)]
enum Destination {
    /// One channel.
    Fixed(Arc<str>),
    /// The channel that a template names.
    Channel(Text),
    /// The channel of the group that a template names.
    Group { prefix: String, name: Text },
    /// The channel of the user whose key a column holds; `personal` is the prefix of every user's channel.
    User { personal: String, column: String },
    /// Likewise with a column of another table. A name that does not resolve is no value, since no such configuration is used.
    RelatedUser { personal: String, value: Option<RelatedValue> },
}

impl Rule {
    /// Returns whether the rule applies to `operation`.
    pub(super) const fn hears(&self, operation: Operation) -> bool {
        self.on.contains(operation)
    }

    /// Returns the channel, if it does not depend on the row.
    pub(super) const fn fixed_channel(&self) -> Option<&Arc<str>> {
        match &self.destination {
            Destination::Fixed(channel) => Some(channel),
            _ => None,
        }
    }

    /// Returns the origin of a publication of this rule.
    pub(super) fn origin(&self, change: &Change<'_>) -> Origin {
        Origin {
            change_id: change.id,
            at: change.at,
            operation: change.operation,
            rule: Arc::clone(&self.name),
            left: false,
        }
    }

    /// Maps a change to a publication; `None` if the rule does not apply, or the target is null.
    ///
    /// # Errors
    /// When a template or condition fails on this row. The reason is human-readable.
    pub(super) fn apply(
        &self,
        templates: &Templates,
        change: &Change<'_>,
        row: &Row<'_>,
        origin: impl FnOnce() -> Origin,
    ) -> Result<Option<Publication>, String> {
        if !self.counts(change, row) {
            return Ok(None);
        }
        self.check(row)?;
        let view = self.view(change, row);
        let Some(channel) = self.audience(templates, &view, row)? else {
            return Ok(None);
        };
        let event_class = match &self.event_class {
            Some(text) => render(templates, &view, "event_class", text)?,
            None => Cow::Borrowed(self.default_classes[change.operation as usize].as_str()),
        };
        let message = match &self.message {
            Some(text) => render(templates, &view, "message", text)?,
            None => Cow::Owned(self.default_message(row)),
        };
        let origin = origin();
        let event = self.frame.encode(&origin, &event_class, &message, &channel, row);
        let member = self.member(&origin, &event_class, row);
        Ok(Some(Publication {
            origin,
            channel,
            event,
            key: None,
            member,
        }))
    }

    /// Returns whether a change counts: an update may have changed none of the columns in `changed`.
    fn counts(&self, change: &Change<'_>, row: &Row<'_>) -> bool {
        change.operation != Operation::Update || self.changed.is_empty() || row.changed(&self.changed)
    }

    /// Checks that the rows of other tables that the rule reads were looked up.
    fn check(&self, row: &Row<'_>) -> Result<(), String> {
        let [of_row, of_old] = &self.related;
        row.related.check(of_row, &row.current)?;
        row.related.check(of_old, &row.old)
    }

    /// Returns the view of the change for the templates.
    fn view<'a>(&'a self, change: &'a Change<'_>, row: &'a Row<'_>) -> View<'a, impl FnOnce() -> Value> {
        View::new(Some(row), || self.reads.scope(change, &self.model, row))
    }

    /// Returns whether the row matches `when`.
    fn matches<F: FnOnce() -> Value>(&self, templates: &Templates, view: &View<'_, F>) -> Result<bool, String> {
        match &self.when {
            Some(when) => Ok(!render(templates, view, "when", when)?.is_empty()),
            None => Ok(true),
        }
    }

    /// Returns the channel of the audience of `row`; `None` if it does not match `when`, or the target is null.
    fn audience<F: FnOnce() -> Value>(
        &self,
        templates: &Templates,
        view: &View<'_, F>,
        row: &Row<'_>,
    ) -> Result<Option<Arc<str>>, String> {
        if !self.matches(templates, view)? {
            return Ok(None);
        }
        let channel: Arc<str> = match &self.destination {
            Destination::Fixed(channel) => Arc::clone(channel),
            Destination::Channel(text) => render(templates, view, "channel", text)?.into(),
            Destination::Group { prefix, name } => {
                let group = render(templates, view, "target", name)?;
                [prefix, channel::group(&group).as_str()].concat().into()
            }
            Destination::User { personal, column } => match row.current.get(column).map(plain) {
                Some(Some(user)) => [personal, &*user].concat().into(),
                Some(None) => return Ok(None),
                None => return Err(format!("target: the row has no column `{column}`")),
            },
            Destination::RelatedUser { personal, value } => {
                let Some(value) = value else { return Ok(None) };
                let user = row
                    .related
                    .value(*value, &row.current)
                    .map_err(|reason| format!("target: {reason}"))?;
                let Some(user) = user.and_then(plain) else { return Ok(None) };
                [personal, &*user].concat().into()
            }
        };
        if channel.is_empty() {
            return Err("channel: the template rendered to an empty text".to_owned());
        }
        Ok(Some(channel))
    }

    /// Returns the model and the key: `Order 17`.
    fn default_message(&self, row: &Row<'_>) -> String {
        let mut message = self.subject.clone();
        for (index, value) in row.pk().enumerate() {
            message.push(if index == 0 { ' ' } else { ',' });
            // Writing to a String cannot fail.
            let _ = write!(message, "{}", plain(value).as_deref().unwrap_or("null"));
        }
        message
    }
}

/// Renders one part of a rule.
fn render<'t, F: FnOnce() -> Value>(
    templates: &Templates,
    view: &View<'_, F>,
    part: &str,
    text: &'t Text,
) -> Result<Cow<'t, str>, String> {
    templates.render(text, view).map_err(|error| failure(part, &error))
}

/// Describes which part failed and why, in one line.
fn failure(part: &str, error: &minijinja::Error) -> String {
    error.detail().map_or_else(
        || format!("{part}: {}", error.kind()),
        |detail| format!("{part}: {}: {detail}", error.kind()),
    )
}
