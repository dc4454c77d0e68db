//! The word to those who heard a row and hear it no more: an update took it to another channel, or out of what a rule follows.

use super::Rule;
use crate::change::{Change, Operation};
use crate::mapping::row::Row;
use crate::mapping::template::Templates;
use crate::mapping::{Origin, Publication};

impl Rule {
    /// What a change makes of a departure: nothing where the row stays with its audience. It says the key alone, since the former
    /// audience may not see what the row is now.
    ///
    /// # Errors
    /// A template or condition that failed on either version of the row, for people.
    pub(in crate::mapping) fn depart(
        &self,
        templates: &Templates,
        change: &Change<'_>,
        row: &Row<'_>,
    ) -> Result<Option<Publication>, String> {
        // An update without all of these former values was captured for rules of another time: whom it took the row from, nobody knows.
        if change.operation != Operation::Update || self.moved_by.is_empty() || !row.old.has(&self.moved_by) {
            return Ok(None);
        }
        if !row.changed(&self.moved_by) || !self.counts(change, row) {
            return Ok(None);
        }
        let former = row.former();
        self.check(row)?;
        self.check(&former)?;
        let view = self.view(change, row);
        // Without `follow` a change that does not match `when` counts for nobody.
        if !self.follow && !self.matches(templates, &view)? {
            return Ok(None);
        }
        let now = self.audience(templates, &view, row)?;
        let before = self.audience(templates, &self.view(change, &former), &former)?;
        let Some(channel) = before.filter(|before| now.as_ref() != Some(before)) else {
            return Ok(None);
        };
        let origin = self.departure(change);
        let message = self.default_message(&former);
        let event = self.frame.encode(&origin, &self.left, &message, &channel, &former);
        let member = self.member(&origin, &self.left, &former);
        Ok(Some(Publication {
            origin,
            channel,
            event,
            key: None,
            member,
        }))
    }

    /// Where the publication of a departure comes from.
    pub(in crate::mapping) fn departure(&self, change: &Change<'_>) -> Origin {
        Origin {
            left: true,
            ..self.origin(change)
        }
    }
}
