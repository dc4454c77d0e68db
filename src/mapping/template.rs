//! Compiles and renders the templates and conditions of rules.

mod joined;
mod scope;

use std::borrow::Cow;
use std::cell::LazyCell;
use std::sync::Arc;

use minijinja::{Environment, Value};

use super::row::Row;
use crate::config::{self, Expression, Template};
use joined::Joined;

pub(super) use scope::{Reads, Version, from_json};

/// The most minijinja instructions per template: a loop over a large JSON column ends in an error, not in a stuck relay.
const FUEL: u64 = 100_000;

/// The templates of all rules.
#[derive(Debug)]
pub(super) struct Templates {
    environment: Environment<'static>,
}

/// A template or condition that does not compile.
#[derive(Debug, thiserror::Error)]
#[error("{part} of rule {rule} of {model}: {source}")]
pub struct CompileError {
    /// The watch's model.
    pub model: String,
    /// The rule's number within the watch.
    pub rule: u32,
    /// The part of the rule.
    pub part: &'static str,
    /// minijinja's error.
    pub source: minijinja::Error,
}

/// A text of a rule.
#[derive(Clone, Debug)]
pub(super) enum Text {
    /// A constant, which reads nothing of the change.
    Constant(Arc<str>),
    /// Rendered for each change, by its name among [`Templates`].
    Rendered(String),
    /// Values between constants, joined if each is a string or an integer, and otherwise rendered by this name.
    Joined(Joined, String),
}

/// The input of a text: the row of a change, and the engine's values of it, which are created when the first text needs them.
pub(super) struct View<'a, F> {
    row: Option<&'a Row<'a>>,
    scope: LazyCell<Value, F>,
}

impl<'a, F: FnOnce() -> Value> View<'a, F> {
    /// Creates the view of a change with the row `row`; many changes have none.
    pub(super) const fn new(row: Option<&'a Row<'a>>, scope: F) -> Self {
        Self {
            row,
            scope: LazyCell::new(scope),
        }
    }
}

impl Templates {
    pub(super) fn new() -> Self {
        let mut environment = config::template::environment();
        environment.set_fuel(Some(FUEL));
        Self { environment }
    }

    /// Compiles `template` under `name`.
    pub(super) fn text(&mut self, name: String, template: &Template) -> Result<Text, minijinja::Error> {
        self.environment.add_template_owned(name.clone(), template.text.clone())?;
        if template.references.is_empty() {
            return Ok(Text::Constant(self.environment.get_template(&name)?.render(())?.into()));
        }
        Ok(match Joined::parse(template) {
            Some(joined) => Text::Joined(joined, name),
            None => Text::Rendered(name),
        })
    }

    /// Compiles the condition `expression` under `name`, as a template that renders to something or to nothing.
    pub(super) fn condition(&mut self, name: String, expression: &Expression) -> Result<Text, minijinja::Error> {
        self.environment.compile_expression(&expression.text)?;
        self.environment
            .add_template_owned(name.clone(), format!("{{% if ({}) %}}true{{% endif %}}", expression.text))?;
        Ok(Text::Rendered(name))
    }

    /// Renders a text.
    pub(super) fn render<'t, F: FnOnce() -> Value>(
        &self,
        text: &'t Text,
        view: &View<'_, F>,
    ) -> Result<Cow<'t, str>, minijinja::Error> {
        let name = match text {
            Text::Constant(text) => return Ok(Cow::Borrowed(text)),
            Text::Rendered(name) => name,
            Text::Joined(joined, name) => match view.row.and_then(|row| joined.join(row)) {
                Some(text) => return Ok(Cow::Owned(text)),
                None => name,
            },
        };
        Ok(Cow::Owned(self.environment.get_template(name)?.render(&*view.scope)?))
    }
}

#[cfg(test)]
mod tests;
