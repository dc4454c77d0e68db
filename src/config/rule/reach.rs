//! What a rule can never reach, as far as the file alone tells: conditions that are never true, and rows that are not there, at all or
//! for some of the operations that the rule hears.

use minijinja::context;

use super::super::diagnostic::{Diagnostic, code};
use super::super::parser::Parser;
use super::super::{Destination, Expression, Reference, Rule, Side, Span, template};
use crate::change::{Operation, Operations};

/// The work that a condition may do while it is tried, in minijinja's instructions.
const FUEL: u64 = 100_000;

/// Reports the parts of `rule` that no change can set off.
pub(super) fn check(rule: &Rule, parser: &mut Parser<'_>) {
    let only_truncate = rule.on == Operations::NONE.with(Operation::Truncate);
    let never_old = !rule.on.contains(Operation::Update) && !rule.on.contains(Operation::Delete);
    let texts = texts(rule);
    // What a condition asks holds for the other texts too, which are not looked at where it is false.
    let asked = rule.when.is_some() && texts.first().is_some_and(|when| when.asks);
    let may_fail = |asks: bool| !asked && !asks;
    for &Text { references, span, asks } in &texts {
        let reads = |side: Side| references.iter().any(|reference| reference.side() == Some(side));
        if only_truncate && (reads(Side::Row) || reads(Side::Old)) {
            let message = "a truncate has no row, so nothing of one can be read";
            let problem = Diagnostic::error(code::TRUNCATE_WITHOUT_ROW, span.clone(), message, "reads a row");
            parser.report(problem.help("read `model`, `op` and `at` alone here".to_owned()));
        } else if never_old && !only_truncate && reads(Side::Old) {
            let message = "`old` is never there, because this rule hears neither updates nor deletes";
            let problem = Diagnostic::error(code::NEVER_FIRES, span.clone(), message, "reads `old`");
            parser.report(problem.help("hear updates alone, with `on = \"update\"`, or read `row`".to_owned()));
        } else if may_fail(asks) && rule.on.contains(Operation::Insert) && reads(Side::Old) {
            let message = "an insert, which this rule hears too, has no `old`: the rule fails on it, and the change is parked";
            let problem = Diagnostic::warning(code::MISSING_ROW, span.clone(), message, "reads `old`");
            parser.report(problem.help("hear updates alone, with `on = \"update\"`, or ask `op` first".to_owned()));
        } else if may_fail(asks) && rule.on.contains(Operation::Truncate) && (reads(Side::Row) || reads(Side::Old)) {
            let message = "a truncate, which this rule hears too, has no row: the rule fails on it, and the change is parked";
            let problem = Diagnostic::warning(code::MISSING_ROW, span.clone(), message, "reads a row");
            parser.report(problem.help("give `truncate` a rule of its own, or ask `op` first".to_owned()));
        }
    }
    if let Some(when) = rule.when.as_ref().filter(|when| never_matches(when, rule.on)) {
        let message = "this rule can never fire, because its condition is false for everything that it hears";
        let problem = Diagnostic::error(code::NEVER_FIRES, when.span.clone(), message, "never true");
        parser.report(problem.help("fix the condition, or name what it asks for in `on`".to_owned()));
    }
}

/// A text of a rule.
struct Text<'a> {
    /// What it reads.
    references: &'a [Reference],
    /// Where it is in the file.
    span: &'a Span,
    /// Whether it asks which operation it is, or what of the row is there.
    asks: bool,
}

impl<'a> Text<'a> {
    fn new(references: &'a [Reference], span: &'a Span, asks_for_absence: bool) -> Self {
        let asks = |reference: &Reference| match reference {
            Reference::Variable(name) => name == "op" || name == "verb",
            Reference::Whole(_) => true,
            Reference::Row(_) | Reference::Old(_) | Reference::Related(..) => false,
        };
        let asks = asks_for_absence || references.iter().any(asks);
        Self { references, span, asks }
    }
}

/// The rule's texts, its condition first; its audience is not among them where it hears truncates, which have their own check.
fn texts(rule: &Rule) -> Vec<Text<'_>> {
    let audience = match &rule.destination {
        Destination::Channel(template) | Destination::Group(template) if !rule.on.contains(Operation::Truncate) => Some(template),
        _ => None,
    };
    let when = rule.when.iter();
    let when = when.map(|when| Text::new(&when.references, &when.span, when.asks_for_absence()));
    let templates = [audience, rule.event_class.as_ref(), rule.message.as_ref()];
    let templates = templates.into_iter().flatten();
    when.chain(templates.map(|template| Text::new(&template.references, &template.span, template.asks_for_absence())))
        .collect()
}

/// Whether a condition that depends on the operation alone is false for each of `on`.
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
