//! Checks what a rule can never reach, as far as the file alone determines: conditions that are never true, and rows that do not exist
//! for some or all of the rule's operations.

use minijinja::context;

use crate::change::{Operation, Operations};
use crate::config::diagnostic::{Diagnostic, code};
use crate::config::parser::Parser;
use crate::config::{Destination, Expression, Reference, Rule, Side, Span, template};

/// The most minijinja instructions for evaluating a condition.
const FUEL: u64 = 100_000;

/// Reports the parts of `rule` that no change can trigger, and those that fail on some changes.
pub(super) fn check(rule: &Rule, parser: &mut Parser<'_>) {
    let only_truncate = rule.on == Operations::NONE.with(Operation::Truncate);
    let never_old = !rule.on.contains(Operation::Update) && !rule.on.contains(Operation::Delete);
    let texts = texts(rule);
    // A check in the condition also guards the other texts, which are not rendered if it is false.
    let is_rule_guarded = rule.when.is_some() && texts.first().is_some_and(|when| when.is_guarded);
    let may_fail = |is_guarded: bool| !is_rule_guarded && !is_guarded;
    for &Text {
        references,
        span,
        is_guarded,
    } in &texts
    {
        let reads = |side: Side| references.iter().any(|reference| reference.side() == Some(side));
        if only_truncate && (reads(Side::Row) || reads(Side::Old)) {
            let message = "a truncate has no row, so no column of one can be read";
            let problem = Diagnostic::error(code::TRUNCATE_WITHOUT_ROW, span.clone(), message, "reads a row");
            parser.report(problem.help("read only `model`, `op` and `at` here".to_owned()));
        } else if never_old && !only_truncate && reads(Side::Old) {
            let message = "`old` never exists, because this rule fires on neither updates nor deletes";
            let problem = Diagnostic::error(code::NEVER_FIRES, span.clone(), message, "reads `old`");
            parser.report(problem.help("fire only on updates, with `on = \"update\"`, or read `row`".to_owned()));
        } else if may_fail(is_guarded) && rule.on.contains(Operation::Insert) && reads(Side::Old) {
            let message =
                "an insert, on which this rule also fires, has no `old`: the rule fails on it, and the change is parked";
            let problem = Diagnostic::warning(code::MISSING_ROW, span.clone(), message, "reads `old`");
            parser.report(problem.help("fire only on updates, with `on = \"update\"`, or check `op` first".to_owned()));
        } else if may_fail(is_guarded) && rule.on.contains(Operation::Truncate) && (reads(Side::Row) || reads(Side::Old)) {
            let message = "a truncate, on which this rule also fires, has no row: the rule fails on it, and the change is parked";
            let problem = Diagnostic::warning(code::MISSING_ROW, span.clone(), message, "reads a row");
            parser.report(problem.help("give `truncate` its own rule, or check `op` first".to_owned()));
        }
    }
    if let Some(when) = rule.when.as_ref().filter(|when| never_matches(when, rule.on)) {
        let message = "this rule can never fire, because its condition is false for all of its operations";
        let problem = Diagnostic::error(code::NEVER_FIRES, when.span.clone(), message, "never true");
        parser.report(problem.help("fix the condition, or add the operation that it expects to `on`".to_owned()));
    }
}

/// A text of a rule.
struct Text<'a> {
    /// The names that it reads.
    references: &'a [Reference],
    /// Its location.
    span: &'a Span,
    /// Whether it checks the operation, or whether the row or a column exists.
    is_guarded: bool,
}

impl<'a> Text<'a> {
    fn new(references: &'a [Reference], span: &'a Span, tolerates_absence: bool) -> Self {
        let guards = |reference: &Reference| match reference {
            Reference::Variable(name) => name == "op" || name == "verb",
            Reference::Whole(_) => true,
            Reference::Row(_) | Reference::Old(_) | Reference::Related(..) => false,
        };
        let is_guarded = tolerates_absence || references.iter().any(guards);
        Self {
            references,
            span,
            is_guarded,
        }
    }
}

/// Returns the rule's texts, its condition first; without its audience if it fires on truncates, which have their own check.
fn texts(rule: &Rule) -> Vec<Text<'_>> {
    let audience = match &rule.destination {
        Destination::Channel(template) | Destination::Group(template) if !rule.on.contains(Operation::Truncate) => Some(template),
        _ => None,
    };
    let when = rule.when.iter();
    let when = when.map(|when| Text::new(&when.references, &when.span, when.tolerates_absence()));
    let templates = [audience, rule.event_class.as_ref(), rule.message.as_ref()];
    let templates = templates.into_iter().flatten();
    when.chain(templates.map(|template| Text::new(&template.references, &template.span, template.tolerates_absence())))
        .collect()
}

/// Returns whether a condition that depends only on the operation is false for each of `on`.
fn never_matches(when: &Expression, on: Operations) -> bool {
    let known = |reference: &Reference| matches!(reference, Reference::Variable(name) if name == "op" || name == "verb");
    if !when.references.iter().all(known) {
        return false;
    }
    let mut environment = template::environment();
    environment.set_fuel(Some(FUEL));
    let Ok(condition) = environment.compile_expression(&when.text) else {
        return false;
    };
    let is_false = |operation: Operation| {
        let scope = context! { op => operation.name(), verb => operation.verb() };
        condition.eval(scope).is_ok_and(|value| !value.is_true())
    };
    on.iter().all(is_false)
}
