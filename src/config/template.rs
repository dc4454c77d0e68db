//! Checks templates and conditions: their syntax, and the names they read.

mod filter;

use std::collections::{BTreeSet, HashSet};

use minijinja::{AutoEscape, Environment, UndefinedBehavior};

use super::column::Columns;
use super::diagnostic::{Diagnostic, code};
use super::nearest::nearest;
use super::parser::Parser;
use super::{Expression, Reference, Side, Spanned, Template};

/// Names in scope that hold a version of the row.
const ROWS: [(&str, Side); 2] = [("row", Side::Row), ("old", Side::Old)];
/// Names in scope in addition to the rows.
const VARIABLES: [&str; 5] = ["pk", "op", "verb", "model", "at"];
/// Names in scope if many changes became one publication.
const COLLAPSED: [&str; 4] = ["count", "op", "verb", "model"];
/// A minijinja global that would show everything in scope, including columns captured for other rules.
const DEBUG: &str = "debug";

/// The names that a template can read.
#[derive(Clone, Copy)]
enum Scope<'a> {
    /// A change, with these columns of its rows.
    Change(&'a Columns<'a>),
    /// Many changes that became one publication.
    Collapsed,
}

impl Scope<'_> {
    fn rows(self) -> impl Iterator<Item = (&'static str, Side)> {
        matches!(self, Self::Change(_)).then_some(ROWS).into_iter().flatten()
    }

    const fn variables(self) -> &'static [&'static str] {
        match self {
            Self::Change(_) => &VARIABLES,
            Self::Collapsed => &COLLAPSED,
        }
    }

    fn names(self) -> impl Iterator<Item = &'static str> {
        self.rows().map(|(row, _)| row).chain(self.variables().iter().copied())
    }
}

/// Returns the environment in which templates and conditions are checked and rendered: an undefined value is an error, and nothing
/// is escaped, because the output is JSON and not HTML.
#[must_use]
pub fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.remove_global(DEBUG);
    environment
}

/// Parses the value as a template. `None` if it does not parse, which has been reported.
pub(super) fn template(value: &Spanned<String>, columns: &Columns<'_>, parser: &mut Parser<'_>) -> Option<Template> {
    checked(value, Scope::Change(columns), parser)
}

/// Parses the value as a template for collapsed changes. `None` if it does not parse, which has been reported.
pub(super) fn collapsed(value: &Spanned<String>, parser: &mut Parser<'_>) -> Option<Template> {
    checked(value, Scope::Collapsed, parser)
}

fn checked(value: &Spanned<String>, scope: Scope<'_>, parser: &mut Parser<'_>) -> Option<Template> {
    let environment = environment();
    let names = environment
        .template_from_str(&value.value)
        .map(|template| template.undeclared_variables(true));
    let references = check("template", value, names, &environment, scope, parser)?;
    refuse_shadowing(value, &environment, scope, parser);
    filter::check(value, &filter::blocks(&value.value), &environment, parser);
    Some(Template {
        text: value.value.clone(),
        span: value.span.clone(),
        references,
    })
}

/// Parses the value as a condition. `None` if it does not parse, which has been reported.
pub(super) fn expression(value: &Spanned<String>, columns: &Columns<'_>, parser: &mut Parser<'_>) -> Option<Expression> {
    let environment = environment();
    let names = environment
        .compile_expression(&value.value)
        .map(|expression| expression.undeclared_variables(true));
    let references = check("condition", value, names, &environment, Scope::Change(columns), parser)?;
    let whole = 0..value.value.len();
    filter::check(value, std::slice::from_ref(&whole), &environment, parser);
    Some(Expression {
        text: value.value.clone(),
        span: value.span.clone(),
        references,
    })
}

impl Template {
    /// Returns whether it handles that something it reads does not exist.
    pub(super) fn tolerates_absence(&self) -> bool {
        filter::tolerates_absence(&self.text, &filter::blocks(&self.text))
    }
}

impl Expression {
    /// Returns whether it handles that something it reads does not exist.
    pub(super) fn tolerates_absence(&self) -> bool {
        let whole = 0..self.text.len();
        filter::tolerates_absence(&self.text, std::slice::from_ref(&whole))
    }
}

/// Reports a syntax error, or checks the names that are read and returns them as references.
fn check(
    what: &str,
    value: &Spanned<String>,
    names: Result<HashSet<String>, minijinja::Error>,
    environment: &Environment<'_>,
    scope: Scope<'_>,
    parser: &mut Parser<'_>,
) -> Option<Vec<Reference>> {
    match names {
        Ok(names) => {
            // Problems must be in a deterministic order, which a hash set does not have.
            let names: BTreeSet<String> = names.into_iter().collect();
            let globals: HashSet<&str> = environment.globals().map(|(name, _)| name).collect();
            let names = names
                .iter()
                .filter(|name| !globals.contains(name.split('.').next().unwrap_or_default()));
            let references: BTreeSet<Reference> = names.filter_map(|name| reference(name, value, scope, parser)).collect();
            Some(references.into_iter().collect())
        }
        Err(error) => {
            let span = error.range().map_or(value.span.clone(), |range| parser.inside(value, range));
            let detail = error.detail().unwrap_or("it cannot be parsed").to_owned();
            parser.report(Diagnostic::error(
                code::TEMPLATE_SYNTAX,
                span,
                format!("this {what} does not parse"),
                detail,
            ));
            None
        }
    }
}

/// Reports a name in scope that the template sets itself: reads of both could not be distinguished.
fn refuse_shadowing(value: &Spanned<String>, environment: &Environment<'_>, scope: Scope<'_>, parser: &mut Parser<'_>) {
    let probe = scope
        .names()
        .fold(value.value.clone(), |probe, name| probe + " {{ " + name + " }}");
    // A name used after the template's end is only declared if the template declared it.
    let Ok(undeclared) = environment
        .template_from_named_str("probe", &probe)
        .map(|probe| probe.undeclared_variables(false))
    else {
        return;
    };
    for name in scope.names().filter(|name| !undeclared.contains(*name)) {
        let message = format!("this template sets `{name}`, which is already in scope");
        let problem = Diagnostic::error(
            code::SHADOWED_NAME,
            value.span.clone(),
            message,
            format!("`{name}` is set here"),
        );
        parser.report(problem.help("choose another name".to_owned()));
    }
}

/// Returns the reference of a name, and reports a name that is not in scope or a column that is not captured.
fn reference(name: &str, value: &Spanned<String>, scope: Scope<'_>, parser: &mut Parser<'_>) -> Option<Reference> {
    let mut parts = name.split('.');
    let first = parts.next().unwrap_or_default();
    if let Scope::Change(columns) = scope
        && let Some((_, side)) = ROWS.into_iter().find(|(row, _)| *row == first)
    {
        let Some(column) = parts.next() else {
            return Some(Reference::Whole(side));
        };
        let named = Spanned {
            value: name[first.len() + 1..].to_owned(),
            span: locate(name, value, parser),
        };
        if let Some(path) = columns.related(&named, &format!("{first}."), parser) {
            return Some(Reference::Related(side, path));
        }
        let span = locate(&format!("{first}.{column}"), value, parser);
        columns.check(
            &Spanned {
                value: column.to_owned(),
                span,
            },
            &format!("{first}."),
            parser,
        );
        let column = column.to_owned();
        return Some(match side {
            Side::Row => Reference::Row(column),
            Side::Old => Reference::Old(column),
        });
    }
    if scope.variables().contains(&first) {
        return Some(Reference::Variable(first.to_owned()));
    }
    let rest = name.strip_prefix(first).unwrap_or_default();
    let help = match scope {
        Scope::Change(columns) if rest.is_empty() && columns.has(first) => format!("did you mean `row.{first}`?"),
        _ => nearest(first, scope.names()).map_or_else(
            || format!("in scope: {}", scope.names().collect::<Vec<_>>().join(", ")),
            |near| format!("did you mean `{near}{rest}`?"),
        ),
    };
    let span = locate(name, value, parser);
    let problem = Diagnostic::error(
        code::UNKNOWN_VARIABLE,
        span,
        format!("`{first}` is not in scope"),
        "no such variable",
    );
    parser.report(problem.help(help));
    None
}

/// Returns the location of a dotted name in the value, or of the whole value if the name does not occur literally.
fn locate(name: &str, value: &Spanned<String>, parser: &Parser<'_>) -> super::Span {
    let text = &value.value;
    let in_name = |letter: char| letter.is_alphanumeric() || letter == '_';
    let found = text
        .match_indices(name)
        .map(|(start, _)| start..start + name.len())
        .find(|range| {
            !text[..range.start].ends_with(|letter| in_name(letter) || letter == '.') && !text[range.end..].starts_with(in_name)
        });
    found.map_or(value.span.clone(), |range| parser.inside(value, range))
}
