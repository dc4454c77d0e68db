//! Mapping: rules turn a change into publications. Pure: no I/O, no clock, no state.

mod audience;
mod broadcast;
pub mod channel;
mod event;
mod needs;
mod related;
mod row;
mod rule;
mod template;

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::capture::watch::Watch;
use crate::change::{Change, Operation};
use audience::Audience;
use broadcast::Broadcasts;
use related::{Paths, Related, Relations};
use row::Row;
use rule::{Compiler, Rule};
use template::Templates;

pub use audience::RESYNC;
pub use related::{Found, NoRows, Rows};
pub use template::CompileError;

/// Every rule, compiled.
#[derive(Debug)]
pub struct Mapping {
    templates: Templates,
    watches: HashMap<String, Compiled>,
    relations: Relations,
    audience: Audience,
    broadcasts: Broadcasts,
}

#[derive(Debug)]
struct Compiled {
    key: Vec<String>,
    rules: Vec<Rule>,
    related: Paths,
    /// The look-ups that read this very table, with the column of their key where that is captured.
    read_by: Vec<(usize, Option<String>)>,
}

/// A message for one channel.
#[derive(Clone, Debug)]
pub struct Publication {
    /// The change it tells of.
    pub origin: Origin,
    /// The channel.
    pub channel: Arc<str>,
    /// The event: a JSON object, encoded once.
    pub event: Vec<u8>,
    /// The idempotency key, where it is not the origin's.
    pub key: Option<Arc<str>>,
}

/// Where a publication comes from: a change and one of the rules that hear it.
#[derive(Clone, Debug)]
pub struct Origin {
    /// [`Change::id`].
    pub change_id: i64,
    /// [`Change::at`].
    pub at: Timestamp,
    /// What happened to the row.
    pub operation: Operation,
    /// The rule.
    pub rule: Arc<RuleName>,
    /// Whether it tells the former audience that the row left, instead of what the row is now.
    pub left: bool,
}

/// What ends the idempotency key of a departure.
const LEFT: &str = "-left";

impl Origin {
    /// What happened, in an event's word.
    #[must_use]
    pub const fn what(&self) -> &'static str {
        if self.left { "leave" } else { self.operation.name() }
    }

    /// Whether an idempotency key is that of a departure.
    #[must_use]
    pub fn is_departure(key: &str) -> bool {
        key.ends_with(LEFT)
    }
}

/// A rule's name in logs and dead letters.
#[derive(Debug, PartialEq, Eq)]
pub struct RuleName {
    /// The watch, as the outbox calls it.
    pub source: String,
    /// The model, as events call it.
    pub model: String,
    /// The rule's number within its watch, from 1.
    pub number: u32,
}

/// The idempotency key, which is the event's `id` too: the same for every attempt, another for every change and rule, and for the
/// departure among the two publications of one change and rule.
impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let left = if self.left { LEFT } else { "" };
        write!(
            f,
            "{}-{:x}-{}{left}",
            self.change_id,
            self.at.as_microsecond(),
            self.rule.number
        )
    }
}

/// A rule that failed on a change: the change cannot be published by it, and is parked.
#[derive(Debug)]
pub struct Failure {
    /// The change and the rule.
    pub origin: Origin,
    /// Which part failed and why, for people.
    pub reason: String,
    /// [`Change::old`], so that the change can be mapped again.
    pub old: Option<String>,
    /// [`Change::new`].
    pub new: Option<String>,
}

/// What becomes of one change under one rule.
pub type Outcome = Result<Publication, Failure>;

impl Mapping {
    /// Compiles the rules of `watches`; events carry `site`, channels of targets begin with `prefix`.
    ///
    /// # Errors
    /// A template or condition that does not compile.
    pub fn compile(watches: &[Watch], site: Option<&str>, prefix: &str) -> Result<Self, CompileError> {
        let mut templates = Templates::new();
        let mut relations = Relations::default();
        let paths: Vec<Paths> = watches.iter().map(|watch| relations.add(&watch.related)).collect();
        let mut audience = Audience::new(site, prefix);
        let mut by_source = HashMap::with_capacity(watches.len());
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
        })
    }

    /// Whether some watch has this source: a change of another is nobody's any more.
    #[must_use]
    pub fn knows(&self, source: &str) -> bool {
        self.watches.contains_key(source)
    }

    /// The word to subscribers that changes were lost, `lost` of them by the count of all times: one for each channel that a rule
    /// names beforehand, and `public` where a rule's channel depends on the row.
    #[must_use]
    pub fn resync(&self, lost: i64, at: Timestamp) -> Vec<Publication> {
        self.audience.resync(lost, at)
    }

    /// What the rule `number` of the change's watch makes of it today: a publication, or nothing. `left` asks for the word to the
    /// former audience; `rows` holds what [`Self::roots`] and [`Self::further`] ask for.
    ///
    /// # Errors
    /// When there is no such rule any more, or it fails; for people.
    pub fn map_by(&self, number: u32, left: bool, change: &Change<'_>, rows: &dyn Rows) -> Result<Option<Publication>, String> {
        if change.operation == Operation::Broadcast {
            return self.broadcasts.publication(change).map(Some);
        }
        let watch = self.watches.get(change.source);
        let rule = watch.and_then(|watch| watch.rules.iter().find(|rule| rule.name.number == number));
        let (Some(watch), Some(rule)) = (watch, rule) else {
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

    /// Why rules make nothing of `change`, by the rules' numbers, for people. None for a change that no watch captures any more.
    #[must_use]
    pub fn silent(&self, change: &Change<'_>, rows: &dyn Rows) -> Vec<(u32, &'static str)> {
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

    const fn related<'a>(&'a self, rows: &'a dyn Rows) -> Related<'a> {
        Related {
            relations: &self.relations,
            rows,
        }
    }

    /// Appends what the rules make of `change` to `outcomes`: nothing, one, or several. `rows` holds what [`Self::roots`] and
    /// [`Self::further`] ask for.
    pub fn map(&self, change: &Change<'_>, rows: &dyn Rows, outcomes: &mut Vec<Outcome>) {
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
            return;
        }
        let Some(watch) = self.watches.get(change.source) else {
            return;
        };
        let mut hearing = watch.rules.iter().filter(|rule| rule.hears(change.operation)).peekable();
        if hearing.peek().is_none() {
            return;
        }
        let row = Row::read(change, &watch.key, self.related(rows));
        for rule in hearing {
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
    }
}

#[cfg(test)]
mod tests;
