//! `target`: an audience in Django's terms.

use toml::de::DeValue;

use super::column::Columns;
use super::diagnostic::{Diagnostic, code};
use super::key::{Key, Keys, Kind};
use super::nearest::did_you_mean;
use super::parser::Parser;
use super::toml_table::TomlTable;
use super::{Destination, Spanned, Template, template};

/// The targets that are a single word.
const WORDS: [&str; 4] = ["public", "users", "staff", "superuser"];
/// The values of `target`.
pub(super) const KIND: Kind = Kind::Any(&[Kind::Words(&WORDS), Kind::Table(&KEYS)]);
/// The keys of a target that is a table.
const KEYS: Keys = Keys {
    one_of: &["group", "user"],
    ..Keys::new("target", &[Key::new("group", Kind::Text), Key::new("user", Kind::Text)])
};
/// The forms of `target`.
const FORMS: &str = "one of \"public\", \"users\", \"staff\", \"superuser\", { group = \"editors\" } or { user = \"field\" }";

/// Parses `target` of a rule. `None` if it is missing or invalid, which has been reported.
pub(super) fn target(rule: &TomlTable<'_>, columns: &Columns<'_>, parser: &mut Parser<'_>) -> Option<Destination> {
    match rule.value("target")? {
        (DeValue::String(text), span) => word(
            &Spanned {
                value: text.to_string(),
                span,
            },
            parser,
        ),
        (DeValue::Table(_), _) => {
            let table = rule.table("target", &KEYS, parser)?;
            group_or_user(&table, columns, parser)
        }
        (_, span) => {
            let problem = Diagnostic::error(
                code::WRONG_TYPE,
                span,
                "`target` must be a string or a table",
                "neither a string nor a table",
            );
            parser.report(problem.help(FORMS.to_owned()));
            None
        }
    }
}

fn word(text: &Spanned<String>, parser: &mut Parser<'_>) -> Option<Destination> {
    match text.value.as_str() {
        "public" => return Some(Destination::Public),
        "users" => return Some(Destination::Users),
        "staff" => return Some(Destination::Staff),
        "superuser" => return Some(Destination::Superuser),
        _ => {}
    }
    let help = match text.value.as_str() {
        "user" => "`users` is everyone who is logged in; one person is `{ user = \"field\" }`".to_owned(),
        "group" | "groups" => "a group is `{ group = \"editors\" }`".to_owned(),
        other => did_you_mean(other, WORDS).unwrap_or_else(|| FORMS.to_owned()),
    };
    let problem = Diagnostic::error(
        code::BAD_VALUE,
        text.span.clone(),
        format!("`{}` is not a target", text.value),
        "no such audience",
    );
    parser.report(problem.help(help));
    None
}

fn group_or_user(table: &TomlTable<'_>, columns: &Columns<'_>, parser: &mut Parser<'_>) -> Option<Destination> {
    match (table.has("group"), table.has("user")) {
        (true, true) => {
            let message = "`group` and `user` are mutually exclusive";
            let problem = Diagnostic::error(code::EXCLUSIVE_KEYS, table.span.clone(), message, "use one or the other");
            parser.report(problem.help("write a second `[[watch.rule]]` to publish to both".to_owned()));
            None
        }
        (true, false) => {
            let value = table.string("group", parser)?;
            name(&value, "group", columns, parser).map(Destination::Group)
        }
        (false, true) => {
            let field = table.string("user", parser)?;
            if field.value.is_empty() {
                parser.report(Diagnostic::error(
                    code::BAD_VALUE,
                    field.span,
                    "`user` is empty",
                    "the field that holds the user's key",
                ));
                return None;
            }
            if !columns.is_related(&field, parser) {
                columns.check(&field, "", parser);
            }
            Some(Destination::User(field))
        }
        (false, false) => {
            let problem = Diagnostic::error(
                code::MISSING_KEY,
                table.span.clone(),
                "`target` names no audience",
                "`group` or `user` is missing",
            );
            parser.report(problem.help(FORMS.to_owned()));
            None
        }
    }
}

/// Parses the template of a channel's or group's name, which must not be empty.
pub(super) fn name(value: &Spanned<String>, key: &str, columns: &Columns<'_>, parser: &mut Parser<'_>) -> Option<Template> {
    if value.value.trim().is_empty() {
        parser.report(Diagnostic::error(
            code::BAD_VALUE,
            value.span.clone(),
            format!("`{key}` is empty"),
            "a name is needed here",
        ));
        return None;
    }
    template::template(value, columns, parser)
}
