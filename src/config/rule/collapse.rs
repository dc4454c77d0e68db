//! `collapse` of a rule: many changes of one transaction become one publication.

use super::super::key::{Key, Keys, Kind};
use super::super::reader::Reader;
use super::super::reading::Reading;
use super::super::{Collapse, template};

/// The keys of the table.
pub(super) const KEYS: Keys = Keys::new(
    "collapse",
    &[Key::required("above", Kind::Positive), Key::new("message", Kind::Text)],
);

/// `collapse`. None: it is missing, or cannot be read, which has been recorded.
pub(super) fn collapse(rule: &Reader<'_>, reading: &mut Reading<'_>) -> Option<Collapse> {
    let table = rule.table("collapse", &KEYS, reading)?;
    if !table.has("above") {
        table.missing(
            "above",
            "write how many changes are published one by one: `above = 20`",
            reading,
        );
    }
    let message = table.string("message", reading);
    let message = message.and_then(|message| template::collapsed(&message, reading));
    let above = table.positive("above", reading)?;
    Some(Collapse { above, message })
}
