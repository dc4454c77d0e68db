//! The columns that determine a row's audience.

use super::fires_on_update;
use crate::config::{Destination, Reference, Rule, Side};

/// The names that determine the audience of a rule's rows.
#[derive(Debug, Default)]
pub(super) struct Moved<'a> {
    /// The columns, as templates and conditions name them.
    pub(super) columns: Vec<&'a str>,
    /// The names that lead to other tables: the columns that hold the keys determine it.
    pub(super) related: Vec<&'a str>,
    /// The field of the row, or of a related row, that holds a user's key.
    pub(super) user: Option<&'a str>,
    /// Whether every captured column may determine it.
    pub(super) whole: bool,
}

impl<'a> Moved<'a> {
    /// Returns what `rule` reads for it; `None` if no row can leave. A rule that reads `old` describes a transition and not a state: it
    /// cannot be evaluated for the former row.
    pub(super) fn new(rule: &'a Rule) -> Option<Self> {
        let mut moved = Self::default();
        let destination = match &rule.destination {
            Destination::Channel(template) | Destination::Group(template) => template.references.as_slice(),
            Destination::User(field) => {
                moved.user = Some(&field.value);
                &[]
            }
            Destination::Public | Destination::Users | Destination::Staff | Destination::Superuser => &[],
        };
        let condition = rule.when.as_ref().map_or(&[][..], |when| when.references.as_slice());
        let of_row = |reference: &Reference| match reference {
            Reference::Variable(name) => name == "pk",
            other => other.side() == Some(Side::Row),
        };
        let depends = moved.user.is_some() || destination.iter().any(of_row);
        if !fires_on_update(rule) || !(depends || rule.follow) {
            return None;
        }
        for reference in destination.iter().chain(condition) {
            match reference {
                Reference::Row(column) => moved.columns.push(column),
                Reference::Related(Side::Row, name) => moved.related.push(name),
                Reference::Whole(Side::Row) => moved.whole = true,
                Reference::Old(_) | Reference::Related(Side::Old, _) | Reference::Whole(Side::Old) => return None,
                Reference::Variable(_) => {}
            }
        }
        Some(moved)
    }
}
