//! `collapse` of a rule, with which many changes of one transaction become one publication.

use crate::config::key::{Key, Keys, Kind};
use crate::config::parser::Parser;
use crate::config::toml_table::TomlTable;
use crate::config::{Collapse, template};

/// The keys of the table.
pub(super) const KEYS: Keys = Keys::new(
    "collapse",
    &[Key::required("above", Kind::Positive), Key::new("message", Kind::Text)],
);

/// Parses `collapse`. `None` if it is missing or invalid, which has been reported.
pub(super) fn collapse(rule: &TomlTable<'_>, parser: &mut Parser<'_>) -> Option<Collapse> {
    let table = rule.table("collapse", &KEYS, parser)?;
    if !table.has("above") {
        table.missing(
            "above",
            "write how many changes are published one by one: `above = 20`",
            parser,
        );
    }
    let message = table.string("message", parser);
    let message = message.and_then(|message| template::collapsed(&message, parser));
    let above = table.positive("above", parser)?;
    Some(Collapse { above, message })
}
