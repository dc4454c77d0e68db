//! `[[watch.rule]]`: which changes are published, to whom, and as what.

mod collapse;
mod reach;
mod repeated;

use super::column::Columns;
use super::diagnostic::{Diagnostic, Severity, code};
use super::key::{Key, Keys, Kind};
use super::nearest::did_you_mean;
use super::parser::Parser;
use super::toml_table::TomlTable;
use super::watch::warn_about_duplicates;
use super::{Destination, Expression, Reference, Rule, Side, Spanned, Template, target, template};
use crate::change::{Operation, Operations};

/// The keys of a rule.
pub(super) const KEYS: Keys = Keys::new(
    "[[watch.rule]]",
    &[
        Key::new("on", Kind::OneOrMoreWords(&OPERATIONS)),
        Key::new("changed", Kind::OneOrMore),
        Key::new("when", Kind::Text),
        Key::new("follow", Kind::Boolean),
        Key::new("target", target::KIND),
        Key::new("channel", Kind::Text),
        Key::new("event_class", Kind::Text),
        Key::new("message", Kind::Text),
        Key::new("data", Kind::Texts),
        Key::new("collapse", Kind::Table(&collapse::KEYS)),
    ],
);
/// The values of `on`.
const OPERATIONS: [&str; 4] = {
    let [insert, update, delete, truncate] = Operation::ALL;
    [insert.name(), update.name(), delete.name(), truncate.name()]
};

/// Parses the rules of a watch. Without any, the default one notifies the staff of every change, so that nothing is public by default.
pub(super) fn rules(watch: &TomlTable<'_>, columns: &Columns<'_>, parser: &mut Parser<'_>) -> Vec<Rule> {
    let tables = watch.tables("rule", &KEYS, parser).unwrap_or_default();
    if tables.is_empty() {
        return vec![Rule {
            on: Operations::ROWS,
            changed: Vec::new(),
            when: None,
            follow: false,
            destination: Destination::Staff,
            event_class: None,
            message: None,
            data: None,
            collapse: None,
            span: watch.span.clone(),
        }];
    }
    let errors = |parser: &Parser<'_>| {
        parser
            .diagnostics
            .items
            .iter()
            .filter(|item| item.severity == Severity::Error)
            .count()
    };
    let before = errors(parser);
    let rules: Vec<Rule> = tables.iter().map(|table| rule(table, columns, parser)).collect();
    // The placeholder of something invalid may equal another rule.
    if errors(parser) == before {
        repeated::check(&rules, parser);
    }
    rules
}

/// Parses a rule. Anything invalid is reported and replaced by a harmless default.
fn rule(table: &TomlTable<'_>, columns: &Columns<'_>, parser: &mut Parser<'_>) -> Rule {
    let on = operations(table, parser);
    let changed = table.one_or_more("changed", parser).unwrap_or_default();
    check_names(&changed, "changed", columns, parser);
    if let Some(span) = table.key_span("changed").filter(|_| !on.contains(Operation::Update)) {
        let message = "this rule can never fire on a changed column, because it does not fire on updates";
        let problem = Diagnostic::error(code::NEVER_FIRES, span, message, "only updates change a column");
        parser.report(problem.help("add `\"update\"` to `on`, or remove `changed`".to_owned()));
    }
    let destination = destination(table, columns, parser);
    if on.contains(Operation::Truncate) {
        refuse_row_dependence(&destination, table, parser);
    }
    let data = table.strings("data", parser);
    check_names(data.as_deref().unwrap_or_default(), "data", columns, parser);
    let when = condition(table, columns, parser);
    let follow = follow(table, on, when.as_ref(), parser);
    let rule = Rule {
        on,
        changed,
        when,
        follow,
        destination,
        event_class: text(table, "event_class", columns, parser),
        message: text(table, "message", columns, parser),
        data,
        collapse: collapse::collapse(table, parser),
        span: table.span.clone(),
    };
    reach::check(&rule, parser);
    rule
}

/// Parses `on`; every row operation if it is missing or invalid.
fn operations(table: &TomlTable<'_>, parser: &mut Parser<'_>) -> Operations {
    let Some(names) = table.one_or_more("on", parser) else {
        return Operations::ROWS;
    };
    warn_about_duplicates(&names, "on", parser);
    let mut operations = Operations::NONE;
    for name in &names {
        match Operation::ALL.into_iter().find(|operation| operation.name() == name.value) {
            Some(operation) => operations = operations.with(operation),
            None => unknown_operation(name, parser),
        }
    }
    if let Some(span) = table.key_span("on").filter(|_| names.is_empty()) {
        let problem = Diagnostic::error(code::NEVER_FIRES, span, "this rule can never fire", "no operation is listed");
        parser.report(problem.help("without `on`, a rule fires on every insert, update and delete".to_owned()));
    }
    if operations == Operations::NONE {
        Operations::ROWS
    } else {
        operations
    }
}

fn unknown_operation(name: &Spanned<String>, parser: &mut Parser<'_>) {
    let synonym = match name.value.to_lowercase().as_str() {
        "create" | "add" | "new" => Some("insert"),
        "edit" | "change" | "changed" | "save" | "saved" => Some("update"),
        "remove" | "removed" => Some("delete"),
        lower => Operation::ALL
            .into_iter()
            .find(|operation| operation.verb() == lower)
            .map(Operation::name),
    };
    let help = synonym
        .map(|name| format!("did you mean `{name}`?"))
        .or_else(|| did_you_mean(&name.value, OPERATIONS));
    let message = format!("`{}` is not an operation", name.value);
    let label = "one of insert, update, delete, truncate";
    parser.report(Diagnostic::error(code::BAD_VALUE, name.span.clone(), message, label).help(help));
}

fn check_names(names: &[Spanned<String>], key: &str, columns: &Columns<'_>, parser: &mut Parser<'_>) {
    warn_about_duplicates(names, key, parser);
    for name in names {
        // Only published data may come from another table.
        if key != "data" || !columns.is_related(name, parser) {
            columns.check(name, "", parser);
        }
    }
}

/// Parses `target` or `channel`; the staff if both are missing or invalid.
fn destination(table: &TomlTable<'_>, columns: &Columns<'_>, parser: &mut Parser<'_>) -> Destination {
    if let Some(span) = table.key_span("channel").filter(|_| table.has("target")) {
        let message = "`target` and `channel` are mutually exclusive";
        let problem = Diagnostic::error(code::EXCLUSIVE_KEYS, span, message, "the rule also has a `target`");
        parser.report(problem.help("write a second `[[watch.rule]]` to publish to both".to_owned()));
    }
    let target = target::target(table, columns, parser);
    let channel = table
        .string("channel", parser)
        .and_then(|value| target::name(&value, "channel", columns, parser));
    target.or(channel.map(Destination::Channel)).unwrap_or(Destination::Staff)
}

/// Reports an audience that depends on the row, which a truncate does not have.
fn refuse_row_dependence(destination: &Destination, table: &TomlTable<'_>, parser: &mut Parser<'_>) {
    let depends = |template: &Template| {
        let mut references = template.references.iter();
        references.any(|reference| !matches!(reference, Reference::Variable(name) if name != "pk"))
    };
    let dependent = match destination {
        Destination::User(_) => true,
        Destination::Channel(template) | Destination::Group(template) => depends(template),
        Destination::Public | Destination::Users | Destination::Staff | Destination::Superuser => false,
    };
    let span = table.value("target").or_else(|| table.value("channel")).map(|(_, span)| span);
    if let Some(span) = span.filter(|_| dependent) {
        let message = "a truncate has no row, so its audience cannot depend on one";
        let problem = Diagnostic::error(code::TRUNCATE_WITHOUT_ROW, span, message, "depends on the row");
        parser.report(problem.help("give `truncate` its own rule, with a target such as `staff`".to_owned()));
    }
}

fn condition(table: &TomlTable<'_>, columns: &Columns<'_>, parser: &mut Parser<'_>) -> Option<Expression> {
    let value = table.string("when", parser)?;
    template::expression(&value, columns, parser)
}

/// Parses `follow`, and reports rules in which it has no effect.
fn follow(table: &TomlTable<'_>, on: Operations, when: Option<&Expression>, parser: &mut Parser<'_>) -> bool {
    let follow = table.boolean("follow", parser).unwrap_or_default();
    let Some(span) = table.key_span("follow").filter(|_| follow) else {
        return false;
    };
    let former = |reference: &Reference| reference.side() == Some(Side::Old);
    let (message, help) = if !table.has("when") {
        (
            "this rule can never follow a row, because every row matches it",
            "add `when`, or remove `follow`: the former audience of a row that moves is notified without it",
        )
    } else if !on.contains(Operation::Update) {
        (
            "this rule can never follow a row, because it does not fire on updates",
            "add `\"update\"` to `on`, or remove `follow`",
        )
    } else if when.is_some_and(|when| when.references.iter().any(former)) {
        (
            "this rule can never follow a row, because its `when` reads `old`",
            "a row leaves only if it matched before: let `when` read only `row`",
        )
    } else {
        return true;
    };
    parser.report(Diagnostic::error(code::NEVER_FIRES, span, message, "nothing to follow").help(help.to_owned()));
    false
}

fn text(table: &TomlTable<'_>, key: &str, columns: &Columns<'_>, parser: &mut Parser<'_>) -> Option<Template> {
    let value = table.string(key, parser)?;
    template::template(&value, columns, parser)
}
