//! Finds rules of one watch that repeat another.

use crate::config::diagnostic::{Diagnostic, code};
use crate::config::parser::Parser;
use crate::config::{Destination, Rule};

/// Warns about rules that notify the same audience of the same changes under the same event class as an earlier rule.
pub(super) fn check(rules: &[Rule], parser: &mut Parser<'_>) {
    for (index, rule) in rules.iter().enumerate() {
        if let Some(first) = rules[..index].iter().position(|earlier| is_repetition(earlier, rule)) {
            let message = format!("this rule repeats rule {} of this watch", first + 1);
            let label = "the same changes, audience and event class";
            let problem = Diagnostic::warning(code::DUPLICATE_RULE, rule.span.clone(), message, label);
            let help = "each such change arrives twice: remove one of them, or give it another `event_class`";
            parser.report(problem.help(help.to_owned()));
        }
    }
}

fn is_repetition(one: &Rule, other: &Rule) -> bool {
    let when = |rule: &Rule| rule.when.as_ref().map(|when| when.text.trim().to_owned());
    let class = |rule: &Rule| rule.event_class.as_ref().map(|class| class.text.clone());
    one.on.iter().any(|operation| other.on.contains(operation))
        && changed(one) == changed(other)
        && when(one) == when(other)
        && audience(&one.destination) == audience(&other.destination)
        && class(one) == class(other)
}

/// Returns the names in `changed`, whose order is irrelevant.
fn changed(rule: &Rule) -> Vec<&str> {
    let mut names: Vec<&str> = rule.changed.iter().map(|name| name.value.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Returns a comparable form of a destination: its kind and text.
fn audience(destination: &Destination) -> (u8, &str) {
    match destination {
        Destination::Public => (0, ""),
        Destination::Users => (1, ""),
        Destination::Staff => (2, ""),
        Destination::Superuser => (3, ""),
        Destination::Channel(template) => (4, &template.text),
        Destination::Group(template) => (5, &template.text),
        Destination::User(field) => (6, &field.value),
    }
}
