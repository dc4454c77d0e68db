//! Departures: the publication to the former audience of a row that an update moved to another channel, or that a rule no longer follows.

use super::Rule;
use crate::change::{Change, Operation};
use crate::mapping::row::Row;
use crate::mapping::template::Templates;
use crate::mapping::{Origin, Publication};

impl Rule {
    /// Maps a change to a departure; `None` if the row stays with its audience. It contains only the key, since the former audience
    /// may not see the new state of the row.
    ///
    /// # Errors
    /// When a template or condition fails on either version of the row. The reason is human-readable.
    pub(in crate::mapping) fn depart(
        &self,
        templates: &Templates,
        change: &Change<'_>,
        row: &Row<'_>,
    ) -> Result<Option<Publication>, String> {
        // An update without all of these former values was captured for other rules: its former audience is unknown.
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
        // Without `follow`, a change that does not match `when` does not count.
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

    /// Returns the origin of the publication of a departure.
    pub(in crate::mapping) fn departure(&self, change: &Change<'_>) -> Origin {
        Origin {
            left: true,
            ..self.origin(change)
        }
    }
}
