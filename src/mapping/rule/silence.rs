//! Explains why a rule does not publish a change.

use super::Rule;
use crate::change::Change;
use crate::mapping::row::Row;
use crate::mapping::template::Templates;

impl Rule {
    /// Returns the human-readable reason; `None` if the rule publishes the change, or fails.
    pub(in crate::mapping) fn silence(&self, templates: &Templates, change: &Change<'_>, row: &Row<'_>) -> Option<&'static str> {
        if !self.counts(change, row) {
            return Some("no field in `changed` has changed");
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
