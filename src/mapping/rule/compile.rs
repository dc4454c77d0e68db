//! Compiles a configured rule.

use std::sync::Arc;

use super::{CollapseRule, Destination, Rule};
use crate::capture::watch::{self, Watch};
use crate::change::Operation;
use crate::config::Template;
use crate::mapping::event::Frame;
use crate::mapping::related::{Branches, Paths, RelatedValue, Relations};
use crate::mapping::template::{CompileError, Reads, Templates, Text};
use crate::mapping::{RuleName, channel};

/// The shared state for compiling rules.
pub(in crate::mapping) struct Compiler<'a> {
    pub(in crate::mapping) templates: &'a mut Templates,
    pub(in crate::mapping) relations: &'a mut Relations,
    pub(in crate::mapping) site: Option<&'a str>,
    pub(in crate::mapping) prefix: &'a str,
}

impl Rule {
    /// Compiles the rule `number` of `watch`.
    pub(in crate::mapping) fn compile(
        compiler: &mut Compiler<'_>,
        watch: &Watch,
        paths: &Paths,
        rule: &watch::Rule,
        number: u32,
    ) -> Result<Self, CompileError> {
        let Compiler {
            templates,
            relations,
            site,
            prefix,
        } = compiler;
        let name = |part: &str| format!("{}\n{number}\n{part}", watch.source);
        let failed = |part| {
            move |source| CompileError {
                model: watch.model.clone(),
                rule: number,
                part,
                source,
            }
        };
        let (mut reads, mut published) = (Reads::default(), Branches::default());
        for name in &rule.related_data {
            published.add(relations, paths, name, rule.on);
        }
        let related_user = match &rule.destination {
            watch::Destination::RelatedUser(name) => relations.value(paths, name, rule.on),
            _ => None,
        };
        let mut text = |part: &'static str, template: &Template| {
            reads.add(&template.references, |branches, name| {
                branches.add(relations, paths, name, rule.on);
            });
            templates.text(name(part), template).map_err(failed(part))
        };
        let destination = destination(&rule.destination, prefix, related_user, &mut text)?;
        let event_class = rule
            .event_class
            .as_ref()
            .map(|template| text("event_class", template))
            .transpose()?;
        let message = rule.message.as_ref().map(|template| text("message", template)).transpose()?;
        let when = match &rule.when {
            Some(expression) => {
                reads.add(&expression.references, |branches, name| {
                    branches.add(relations, paths, name, rule.on);
                });
                Some(templates.condition(name("when"), expression).map_err(failed("when"))?)
            }
            None => None,
        };
        let collapse = match &rule.collapse {
            Some(collapse) => Some(CollapseRule::compile(templates, name("collapse"), collapse).map_err(failed("collapse"))?),
            None => None,
        };
        let [mut of_row, of_old] = reads.relations();
        of_row.extend(published.relations());
        of_row.extend(related_user.map(|value| value.relation));
        Ok(Self {
            name: Arc::new(RuleName {
                source: watch.source.clone(),
                model: watch.model.clone(),
                number,
            }),
            on: rule.on,
            changed: rule.changed.clone(),
            when,
            follow: rule.follow,
            moved_by: rule.moved_by.clone(),
            destination,
            event_class,
            default_classes: Operation::ALL.map(|operation| format!("{} {}", watch.name, operation.verb())),
            left: format!("{} left", watch.name),
            message,
            subject: watch.name.clone(),
            model: watch.model.as_str().into(),
            frame: Frame::new(*site, &watch.model, &rule.data, published),
            collapse,
            reads,
            related: [of_row, of_old],
        })
    }
}

/// Compiles the destination; `related_user` is the location of the user's key in the rows of other tables.
fn destination(
    configured: &watch::Destination,
    prefix: &str,
    related_user: Option<RelatedValue>,
    text: &mut dyn FnMut(&'static str, &Template) -> Result<Text, CompileError>,
) -> Result<Destination, CompileError> {
    let fixed = |channel: &str| Destination::Fixed(format!("{prefix}{channel}").into());
    let prefix = prefix.to_owned();
    let personal = || format!("{prefix}{}", channel::personal(""));
    Ok(match configured {
        watch::Destination::Channel(template) => match text("channel", template)? {
            Text::Constant(channel) => Destination::Fixed(channel),
            text => Destination::Channel(text),
        },
        watch::Destination::Public => fixed(channel::PUBLIC),
        watch::Destination::Users => fixed(channel::USERS),
        watch::Destination::Staff => fixed(channel::STAFF),
        watch::Destination::Superuser => fixed(channel::SUPERUSER),
        watch::Destination::Group(template) => match text("target", template)? {
            Text::Constant(group) => fixed(&channel::group(&group)),
            name => Destination::Group { prefix, name },
        },
        watch::Destination::User(column) => {
            let column = column.clone();
            Destination::User {
                personal: personal(),
                column,
            }
        }
        watch::Destination::RelatedUser(_) => Destination::RelatedUser {
            personal: personal(),
            value: related_user,
        },
    })
}
