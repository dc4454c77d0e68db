//! `related`: the rows of other tables that a watch's rules may read, and their columns.

use toml::de::DeValue;

use super::diagnostic::{Diagnostic, code};
use super::key::{Key, Keys, Kind};
use super::parser::Parser;
use super::toml_table::TomlTable;
use super::watch::{is_identifier, table_name, warn_about_duplicates};
use super::{Related, Span, Spanned};

/// The keys of an entry that is a table.
const ENTRY: Keys = Keys::new(
    "related",
    &[
        Key::new("column", Kind::Text),
        Key::new("table", Kind::Text),
        Key::new("key", Kind::Text),
        Key::required("fields", Kind::Texts),
    ],
);
/// The keys of `related`: paths.
pub(super) const KEYS: Keys = Keys {
    others: Some(Kind::Any(&[Kind::Texts, Kind::Table(&ENTRY)])),
    ..Keys::new("related", &[])
};

/// Parses the entries of a watch, parents before children; `customer.user` also adds `customer`. `None` if they are invalid, so that
/// no name can be checked against them.
pub(super) fn related(watch: &TomlTable<'_>, parser: &mut Parser<'_>) -> Option<Vec<Related>> {
    if !watch.has("related") {
        return Some(Vec::new());
    }
    let table = watch.table("related", &KEYS, parser)?;
    let mut entries = Vec::new();
    let mut complete = true;
    for (path, value, span) in table.entries() {
        let read = if is_path(&path, parser) {
            entry(&table, path, value, span, parser)
        } else {
            None
        };
        complete &= read.is_some();
        entries.extend(read);
    }
    add_parents(&mut entries);
    entries.sort_by_key(|entry| entry.path.value.matches('.').count());
    complete.then_some(entries)
}

fn entry(
    table: &TomlTable<'_>,
    path: Spanned<String>,
    value: &DeValue<'_>,
    span: Span,
    parser: &mut Parser<'_>,
) -> Option<Related> {
    let DeValue::Table(options) = value else {
        let fields = table.strings(&path.value, parser)?;
        check_fields(&fields, parser);
        return Some(Related {
            path,
            column: None,
            table: None,
            key: None,
            fields,
        });
    };
    let options = TomlTable::new(options, span, &ENTRY, parser);
    if !options.has("fields") {
        options.missing("fields", "add `fields = [\"name\"]`", parser);
        return None;
    }
    let fields = options.strings("fields", parser)?;
    check_fields(&fields, parser);
    let named = options.string("table", parser);
    let key = options.string("key", parser);
    if key.is_some() && !options.has("table") {
        options.missing(
            "table",
            "a foreign key already determines what it references: remove `key`, or name the table",
            parser,
        );
        return None;
    }
    let other = match named {
        Some(name) => Some(Spanned {
            value: table_name(&name, parser)?,
            span: name.span,
        }),
        None if options.has("table") => return None,
        None => None,
    };
    Some(Related {
        path,
        column: options.string("column", parser),
        table: other,
        key,
        fields,
    })
}

/// Adds the missing parents of longer paths, without any fields.
fn add_parents(entries: &mut Vec<Related>) {
    let mut index = 0;
    while let Some(entry) = entries.get(index) {
        if let Some((parent, _)) = entry.path.value.rsplit_once('.')
            && entries.iter().all(|other| other.path.value != parent)
        {
            let path = Spanned {
                value: parent.to_owned(),
                span: entry.path.span.clone(),
            };
            entries.push(Related {
                path,
                column: None,
                table: None,
                key: None,
                fields: Vec::new(),
            });
        }
        index += 1;
    }
}

fn is_path(path: &Spanned<String>, parser: &mut Parser<'_>) -> bool {
    let is_path = path.value.split('.').all(is_identifier);
    if !is_path {
        let message = "a name in `related` must be that of a foreign key, or several joined by dots";
        let problem = Diagnostic::error(code::BAD_VALUE, path.span.clone(), message, "not such a name");
        parser.report(problem.help("write it like `customer`, or `\"customer.user\"` for the next table".to_owned()));
    }
    is_path
}

fn check_fields(fields: &[Spanned<String>], parser: &mut Parser<'_>) {
    for field in fields.iter().filter(|field| field.value.is_empty()) {
        let message = "a field has an empty name";
        let problem = Diagnostic::error(code::BAD_VALUE, field.span.clone(), message, "a name is needed here");
        parser.report(problem);
    }
    warn_about_duplicates(fields, "related", parser);
}

/// Splits a dotted name into the relation that it goes through and the column of it; anything after that is a part of the column's
/// value. `None` if the name does not begin with a relation. `is_relation` returns whether a path is one.
pub(crate) fn split(name: &str, is_relation: impl Fn(&str) -> bool) -> Option<(&str, Option<&str>)> {
    let mut path = None;
    for (end, _) in name.match_indices('.').chain([(name.len(), "")]) {
        if !is_relation(&name[..end]) {
            break;
        }
        path = Some(&name[..end]);
    }
    let path = path?;
    let column = name[path.len()..].strip_prefix('.').and_then(|rest| rest.split('.').next());
    Some((path, column))
}

/// Like [`split`], for a name in a list, where the name of a foreign key refers to its column.
pub(crate) fn split_field(name: &str, is_relation: impl Fn(&str) -> bool) -> Option<(&str, &str)> {
    match split(name, is_relation)? {
        (path, Some(column)) => Some((path, column)),
        (path, None) => path.rsplit_once('.'),
    }
}

#[cfg(test)]
mod tests {
    use super::{split, split_field};

    #[test]
    fn a_name_goes_through_relations_to_a_column() {
        let known = |path: &str| ["customer", "customer.user"].contains(&path);
        for (name, expected) in [
            ("status", None),
            ("customer_id", None),
            ("customer", Some(("customer", None))),
            ("customer.name", Some(("customer", Some("name")))),
            ("customer.user", Some(("customer.user", None))),
            ("customer.user.email", Some(("customer.user", Some("email")))),
            ("customer.user.profile.city", Some(("customer.user", Some("profile")))),
        ] {
            assert_eq!(split(name, known), expected, "{name}");
        }
        assert_eq!(split_field("customer", known), None, "a column of the row itself");
        assert_eq!(split_field("customer.user", known), Some(("customer", "user")));
        assert_eq!(split_field("customer.user.email", known), Some(("customer.user", "email")));
    }
}
