//! `[[watch]]`: a watched model or table, and the columns captured from it.

use std::collections::HashSet;

use super::column::Columns;
use super::diagnostic::{Diagnostic, code};
use super::key::{Key, Keys, Kind};
use super::parser::Parser;
use super::toml_table::TomlTable;
use super::{Spanned, Subject, TableName, Watch, related, rule};

/// The keys of a watch.
pub(super) const KEYS: Keys = Keys {
    one_of: &["model", "table"],
    ..Keys::new(
        "[[watch]]",
        &[
            Key::new("model", Kind::Text),
            Key::new("table", Kind::Text),
            Key::new("fields", Kind::Texts),
            Key::new("related", Kind::Table(&related::KEYS)),
            Key::new("rule", Kind::Tables(&rule::KEYS)),
        ],
    )
};

/// Parses the watches of the file; invalid ones are omitted.
pub(super) fn watches(root: &TomlTable<'_>, parser: &mut Parser<'_>) -> Vec<Watch> {
    let Some(tables) = root.tables("watch", &KEYS, parser) else {
        let message = "nothing is watched";
        let problem = Diagnostic {
            span: None,
            ..Diagnostic::warning(code::NOTHING_WATCHED, 0..0, message, "")
        };
        parser.report(problem.help("add `[[watch]]` with `model = \"app.Model\"`".to_owned()));
        return Vec::new();
    };
    let mut watches: Vec<Watch> = Vec::new();
    for table in tables {
        let Some(watch) = watch(&table, parser) else { continue };
        if watches.iter().any(|other| same(&other.subject.value, &watch.subject.value)) {
            let span = watch.subject.span.clone();
            let problem = Diagnostic::error(code::DUPLICATE_WATCH, span, "this is watched twice", "already watched above");
            parser.report(problem.help("put all rules under one `[[watch]]`".to_owned()));
        }
        watches.push(watch);
    }
    watches
}

fn watch(table: &TomlTable<'_>, parser: &mut Parser<'_>) -> Option<Watch> {
    let subject = subject(table, parser);
    let listed = table.strings("fields", parser);
    // The names in the rules cannot be checked against an invalid list.
    let known = if table.has("fields") {
        listed.as_deref()
    } else {
        Some(&[][..])
    };
    let related = related::related(table, parser);
    let columns = Columns::new(known, related.as_deref());
    for field in listed.iter().flatten().filter(|field| field.value.is_empty()) {
        let message = "a field has an empty name";
        parser.report(Diagnostic::error(
            code::BAD_VALUE,
            field.span.clone(),
            message,
            "a name is needed here",
        ));
    }
    warn_about_duplicates(listed.as_deref().unwrap_or_default(), "fields", parser);
    let rules = rule::rules(table, &columns, parser);
    Some(Watch {
        subject: subject?,
        fields: listed.unwrap_or_default(),
        related: related.unwrap_or_default(),
        rules,
    })
}

/// Warns about names that occur twice in the list `key`.
pub(super) fn warn_about_duplicates(names: &[Spanned<String>], key: &str, parser: &mut Parser<'_>) {
    let mut seen = HashSet::new();
    for name in names.iter().filter(|name| !seen.insert(name.value.as_str())) {
        let message = format!("`{}` occurs twice in `{key}`", name.value);
        parser.report(Diagnostic::warning(
            code::DUPLICATE_NAME,
            name.span.clone(),
            message,
            "here again",
        ));
    }
}

/// Parses `model` and `table`. `None` if they are missing or invalid, which has been reported.
fn subject(table: &TomlTable<'_>, parser: &mut Parser<'_>) -> Option<Spanned<Subject>> {
    if !table.has("model") && !table.has("table") {
        table.missing("model", "add `model = \"app.Model\"`, or `table = \"schema.name\"`", parser);
        return None;
    }
    let model = table.string("model", parser);
    let name = table.string("table", parser);
    let label = model.as_ref().and_then(|model| label(model, parser));
    let parsed = name.as_ref().and_then(|name| table_name(name, parser));
    match (model, name) {
        (Some(model), name) => {
            let (app, label) = label?;
            let table = if name.is_some() || table.has("table") {
                Some(parsed?)
            } else {
                None
            };
            Some(Spanned {
                value: Subject::Model {
                    app,
                    model: label,
                    table,
                },
                span: model.span,
            })
        }
        (None, Some(name)) if !table.has("model") => Some(Spanned {
            value: Subject::Table(parsed?),
            span: name.span,
        }),
        (None, _) => None,
    }
}

/// Splits `app.Model` into app and class; `app.Model.field` names the class that Django creates for a many-to-many table.
fn label(model: &Spanned<String>, parser: &mut Parser<'_>) -> Option<(String, String)> {
    let parts: Vec<&str> = model.value.split('.').collect();
    if parts.iter().all(|part| is_identifier(part)) {
        match parts[..] {
            [app, class] => return Some((app.to_owned(), class.to_owned())),
            [app, class, field] => return Some((app.to_owned(), format!("{class}_{field}"))),
            _ => {}
        }
    }
    let message = "`model` must be `app.Model`, or `app.Model.field` for a many-to-many table";
    let problem = Diagnostic::error(code::BAD_VALUE, model.span.clone(), message, "not a model's label");
    let help = match parts[..] {
        [.., app, "models", class] if is_identifier(app) && is_identifier(class) => {
            format!("the app's label is not its module path, did you mean `{app}.{class}`?")
        }
        [class] if is_identifier(class) => format!("put the app's label before it, as in `shop.{class}`"),
        _ => "the app's label and the class's name, as in `shop.Order`".to_owned(),
    };
    parser.report(problem.help(help));
    None
}

/// Returns whether `name` is a Python identifier.
pub(super) fn is_identifier(name: &str) -> bool {
    name.starts_with(|first: char| first.is_alphabetic() || first == '_')
        && name.chars().all(|letter| letter.is_alphanumeric() || letter == '_')
}

/// Parses a table's name. `None` if it is invalid, which has been reported.
pub(super) fn table_name(name: &Spanned<String>, parser: &mut Parser<'_>) -> Option<TableName> {
    match TableName::parse(&name.value) {
        Ok(table) => Some(table),
        Err(reason) => {
            let message = "`table` must be `name` or `schema.name`";
            parser.report(Diagnostic::error(code::BAD_VALUE, name.span.clone(), message, reason));
            None
        }
    }
}

/// Returns whether two subjects are certainly the same. Django's model names are case-insensitive.
fn same(one: &Subject, other: &Subject) -> bool {
    let table = |subject: &Subject| match subject {
        Subject::Model { table, .. } => table.clone(),
        Subject::Table(table) => Some(table.clone()),
    };
    if let (
        Subject::Model { app, model, .. },
        Subject::Model {
            app: other_app,
            model: other_model,
            ..
        },
    ) = (one, other)
        && app == other_app
        && model.to_lowercase() == other_model.to_lowercase()
    {
        return true;
    }
    table(one).is_some_and(|name| table(other) == Some(name))
}
