//! Which columns decide who hears a row.

use super::hears_update;
use crate::config::{Destination, Reference, Rule, Side};

/// What decides who hears a rule's rows.
#[derive(Debug, Default)]
pub(super) struct Moved<'a> {
    /// The columns, as templates and conditions name them.
    pub(super) columns: Vec<&'a str>,
    /// Names that lead to other tables: what holds the key decides.
    pub(super) related: Vec<&'a str>,
    /// A field that holds a user's key, of the row or of one that it leads to.
    pub(super) user: Option<&'a str>,
    /// Every captured column may.
    pub(super) whole: bool,
}

impl<'a> Moved<'a> {
    /// What `rule` reads for it; none where no row can leave. What reads `old` tells of a transition and not of a state: it cannot
    /// be asked about the row as it was before.
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
        if !hears_update(rule) || !(depends || rule.follow) {
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
