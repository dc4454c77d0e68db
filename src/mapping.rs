//! Mapping of changes to publications, by rules. Pure: no I/O, no clock, no state.

mod audience;
mod broadcast;
pub mod channel;
mod collapse;
mod event;
mod needs;
mod publication;
mod related;
mod row;
mod rule;
mod template;

use std::collections::HashMap;

use jiff::Timestamp;

use crate::capture::watch::Watch;
use crate::change::{Change, Operation};
use audience::Audience;
use broadcast::Broadcasts;
use collapse::Group;
use related::{Paths, Related, Relations};
use row::Row;
use rule::{Compiler, Rule};
use template::Templates;

pub use audience::RESYNC;
pub use collapse::{Collapse, Member};
pub use publication::{Failure, Origin, Outcome, Publication, RuleName};
pub use related::{Found, LookupId, NoRelatedRows, RelatedRows, RelationId};
pub use template::CompileError;

/// The compiled rules.
#[derive(Debug)]
pub struct Mapping {
    templates: Templates,
    watches: HashMap<String, Compiled>,
    relations: Relations,
    audience: Audience,
    broadcasts: Broadcasts,
    /// Whether some rule collapses changes.
    collapses: bool,
}

#[derive(Debug)]
struct Compiled {
    key: Vec<String>,
    rules: Vec<Rule>,
    related: Paths,
    /// The lookups that read this table itself, with the column of their key if that is captured.
    read_by: Vec<(LookupId, Option<String>)>,
}

impl Mapping {
    /// Compiles the rules of `watches`; events carry `site`, channels of targets begin with `prefix`.
    ///
    /// # Errors
    /// When a template or condition does not compile.
    pub fn compile(watches: &[Watch], site: Option<&str>, prefix: &str) -> Result<Self, CompileError> {
        let mut templates = Templates::new();
        let mut relations = Relations::default();
        let paths: Vec<Paths> = watches.iter().map(|watch| relations.add(&watch.related)).collect();
        let mut audience = Audience::new(site, prefix);
        let mut by_source = HashMap::with_capacity(watches.len());
        let collapses = watches
            .iter()
            .flat_map(|watch| &watch.rules)
            .any(|rule| rule.collapse.is_some());
        for (watch, related) in watches.iter().zip(paths) {
            let mut compiler = Compiler {
                templates: &mut templates,
                relations: &mut relations,
                site,
                prefix,
            };
            let rules = watch
                .rules
                .iter()
                .zip(1..)
                .map(|(rule, number)| Rule::compile(&mut compiler, watch, &related, rule, number))
                .collect::<Result<Vec<_>, _>>()?;
            for rule in &rules {
                audience.add(rule.fixed_channel());
            }
            let key = watch.key.iter().map(|column| column.name.clone()).collect();
            let read_by = needs::read_by(watch, &relations.lookups);
            let ready = Compiled {
                key,
                rules,
                related,
                read_by,
            };
            by_source.insert(watch.source.clone(), ready);
        }
        Ok(Self {
            templates,
            watches: by_source,
            relations,
            audience,
            broadcasts: Broadcasts::new(site, prefix),
            collapses,
        })
    }

    /// Returns whether some rule makes one publication of many changes of a transaction.
    #[must_use]
    pub const fn collapses(&self) -> bool {
        self.collapses
    }

    /// Returns the resyncs that notify subscribers of lost changes, `lost` being the total count so far: one per channel that a rule names
    /// independently of the row, and `public` for the rules whose channel depends on it.
    #[must_use]
    pub fn resync(&self, lost: i64, at: Timestamp) -> Vec<Publication> {
        self.audience.resync(lost, at)
    }

    /// Maps a change by the rule `number` of its watch, as it is now: to a publication, or to nothing. With `left`, to the publication for
    /// the former audience. `rows` holds the rows that [`Self::roots`] and [`Self::children`] request.
    ///
    /// # Errors
    /// When the rule no longer exists, or it fails. The reason is human-readable.
    pub fn map_by(
        &self,
        number: u32,
        left: bool,
        change: &Change<'_>,
        rows: &dyn RelatedRows,
    ) -> Result<Option<Publication>, String> {
        if change.operation == Operation::Broadcast {
            return self.broadcasts.publication(change).map(Some);
        }
        let Some((watch, rule)) = self.rule(change.source, number) else {
            return Err(format!("instant.toml has no rule {number} for {} any more", change.source));
        };
        if !rule.hears(change.operation) {
            return Ok(None);
        }
        let related = self.related(rows);
        let row = Row::read(change, &watch.key, related).map_err(|error| format!("the captured row: {error}"))?;
        if left {
            rule.depart(&self.templates, change, &row)
        } else {
            rule.apply(&self.templates, change, &row, || rule.origin(change))
        }
    }

    /// Returns the rules that make nothing of `change`, by number, each with the human-readable reason. Empty for a change that no watch
    /// captures any more.
    #[must_use]
    pub fn silent(&self, change: &Change<'_>, rows: &dyn RelatedRows) -> Vec<(u32, &'static str)> {
        let Some(watch) = self.watches.get(change.source) else {
            return Vec::new();
        };
        let row = Row::read(change, &watch.key, self.related(rows)).ok();
        let why = |rule: &Rule| match &row {
            _ if !rule.hears(change.operation) => Some("`on` does not name it"),
            Some(row) => rule.silence(&self.templates, change, row),
            None => None,
        };
        let rules = watch.rules.iter();
        rules.filter_map(|rule| Some((rule.name.number, why(rule)?))).collect()
    }

    /// Returns whether a watch has this source in the outbox, whatever its rules make of the changes.
    #[must_use]
    pub fn knows(&self, source: &str) -> bool {
        self.watches.contains_key(source)
    }

    /// Returns the rule `number` of the watch `source`, with the watch.
    fn rule(&self, source: &str, number: u32) -> Option<(&Compiled, &Rule)> {
        let watch = self.watches.get(source)?;
        let rule = watch.rules.iter().find(|rule| rule.name.number == number)?;
        Some((watch, rule))
    }

    /// Returns the publication of a group; `None` if its rule does not exist.
    fn collapsed(&self, group: &Group) -> Option<Publication> {
        let name = &group.origin.rule;
        let (_, rule) = self.rule(&name.source, name.number)?;
        Some(rule.collapsed(&self.templates, group))
    }

    const fn related<'a>(&'a self, rows: &'a dyn RelatedRows) -> Related<'a> {
        Related {
            relations: &self.relations,
            rows,
        }
    }

    /// Maps a change by all rules, and appends their outcomes: none, one, or several. `rows` holds the rows that [`Self::roots`] and
    /// [`Self::children`] request. Returns false if the change's source is not [known](Self::knows).
    pub fn map(&self, change: &Change<'_>, rows: &dyn RelatedRows, outcomes: &mut Vec<Outcome>) -> bool {
        let failure = |origin, reason| {
            let owned = |text: Option<&str>| text.map(str::to_owned);
            Err(Failure {
                origin,
                reason,
                old: owned(change.old),
                new: owned(change.new),
            })
        };
        if change.operation == Operation::Broadcast {
            let publication = self.broadcasts.publication(change);
            outcomes.push(publication.or_else(|reason| failure(self.broadcasts.origin(change), reason)));
            return true;
        }
        let Some(watch) = self.watches.get(change.source) else {
            return false;
        };
        let mut firing = watch.rules.iter().filter(|rule| rule.hears(change.operation)).peekable();
        if firing.peek().is_none() {
            return true;
        }
        let row = Row::read(change, &watch.key, self.related(rows));
        for rule in firing {
            let origin = || rule.origin(change);
            match &row {
                Ok(row) => {
                    match rule.depart(&self.templates, change, row) {
                        Ok(publication) => outcomes.extend(publication.map(Ok)),
                        Err(reason) => outcomes.push(failure(rule.departure(change), reason)),
                    }
                    match rule.apply(&self.templates, change, row, origin) {
                        Ok(publication) => outcomes.extend(publication.map(Ok)),
                        Err(reason) => outcomes.push(failure(origin(), reason)),
                    }
                }
                Err(error) => outcomes.push(failure(origin(), format!("the captured row: {error}"))),
            }
        }
        true
    }
}

#[cfg(test)]
mod tests;
