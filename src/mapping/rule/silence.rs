//! Why a rule makes nothing of a change.

use super::Rule;
use crate::change::Change;
use crate::mapping::row::Row;
use crate::mapping::template::Templates;

impl Rule {
    /// Why, for people; none: it makes something of it, or fails.
    pub(in crate::mapping) fn silence(&self, templates: &Templates, change: &Change<'_>, row: &Row<'_>) -> Option<&'static str> {
        if !self.counts(change, row) {
            return Some("nothing of `changed` has changed");
        }
        let view = self.view(change, row);
        match self.matches(templates, &view) {
            Ok(false) => Some("`when` does not match"),
            Ok(true) => match self.audience(templates, &view, row) {
                Ok(None) => Some("its target is null"),
                _ => None,
            },
            Err(_) => None,
        }
    }
}
