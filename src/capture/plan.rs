//! The difference between what the configuration wants and what the database has. Pure: the state is read elsewhere.

use std::fmt;

use super::identifier::{QualifiedName, identifier};
use super::installed::{FoundFunction, FoundTrigger, Shape, State};
use super::pause::PAUSED;
use super::schema::SchemaState;
use super::trigger::{self, Function, LOCK_TIMEOUT, ROW_TRIGGER, TRUNCATE_TRIGGER};
use super::watch::Watch;
use crate::change::Operation;

/// `pg_trigger.tgtype` of an AFTER row trigger for insert, delete and update.
const ROW_TYPE: i16 = 1 | 4 | 8 | 16;
/// `pg_trigger.tgtype` of an AFTER statement trigger for truncate.
const TRUNCATE_TYPE: i16 = 32;

/// The reason to replace a paused function.
const RESUME: &str = "capture is paused; `instant resume` captures again";

/// The reason to drop a trigger or function whose watch is gone.
const UNNEEDED: &str = "no watch needs it any more";
/// The reason if none of the installed watches is left: they may belong to another project.
const STRANGE: &str = "this file contains none of the installed watches; projects that share a database share one file";

/// The locks that steps take on the project's tables.
pub(super) const NO_LOCK: &str = "no lock on your tables";
const WRITES_WAIT: &str = "share row exclusive on the table: writes wait for a moment, reads do not";
const ALL_WAIT: &str = "access exclusive on the table: reads and writes wait for a moment";

/// The steps that `apply` would run, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The steps, one per transaction, so that no lock is held while the next one is waited for.
    pub steps: Vec<Step>,
}

/// A change of the database.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Step {
    /// The action: `create trigger "!instant" on public.shop_order`.
    pub action: String,
    /// The reason.
    pub reason: &'static str,
    /// The lock that it takes on the project's tables, if any.
    pub lock: &'static str,
    /// Whether changes may have gone uncaptured before it, so that it counts a loss, which subscribers are notified of.
    pub counts_loss: bool,
    /// The statements; `None` for the migrations, which have statements of their own.
    pub sql: Option<String>,
}

impl Step {
    pub(super) fn new(action: impl Into<String>, reason: &'static str, lock: &'static str, sql: String) -> Self {
        Self {
            action: action.into(),
            reason,
            lock,
            counts_loss: false,
            sql: Some(sql),
        }
    }

    /// Returns the step, which counts a loss if there was a `gap`: last, so that the loss is announced when capture is on again. By then
    /// the step has locked the table, so it waits no longer than a trigger for the sequence.
    fn counting(mut self, gap: bool) -> Self {
        if let Some(sql) = self.sql.as_mut().filter(|_| gap) {
            *sql = format!("{sql};\nset local lock_timeout = '{LOCK_TIMEOUT}';\nselect nextval('instant.lost')");
            self.counts_loss = true;
        }
        self
    }

    fn migration(action: &str, reason: &'static str) -> Self {
        Self {
            action: action.to_owned(),
            reason,
            lock: NO_LOCK,
            counts_loss: false,
            sql: None,
        }
    }
}

impl Plan {
    /// Returns the steps from `state` to what `watches` require.
    #[must_use]
    pub fn new(watches: &[Watch], state: &State) -> Self {
        let mut steps = Vec::new();
        match state.schema {
            SchemaState::Missing => steps.push(Step::migration("create schema instant", "it does not exist")),
            SchemaState::Older => steps.push(Step::migration("migrate schema instant", "it has an older version")),
            SchemaState::Current | SchemaState::Newer | SchemaState::WithoutRows => {}
        }
        for (sql, reason) in &state.missing_grants {
            steps.push(Step::new(sql, reason, NO_LOCK, sql.clone()));
        }
        steps.extend(state.definers.steps());
        let functions: Vec<Function> = watches.iter().map(Function::new).collect();
        let mut wanted = Vec::new();
        for ((watch, function), tables) in watches.iter().zip(&functions).zip(&state.tables) {
            let installed = state.functions.iter().find(|found| found.name == function.name);
            steps.extend(function_steps(function, installed));
            for table in tables {
                for name in [ROW_TRIGGER, TRUNCATE_TRIGGER] {
                    let found = state
                        .triggers
                        .iter()
                        .find(|found| found.name == name && found.table == *table);
                    // If the function exists already, the table was captured before: its trigger was dropped, or it is another table.
                    let gap = installed.is_some() && (name == ROW_TRIGGER || watch.operations.contains(Operation::Truncate));
                    let step = trigger_step(name, table, function, found);
                    steps.extend(step.map(|step| step.counting(gap)));
                    wanted.push((name, table));
                }
            }
        }
        for found in state.triggers.iter().filter(|found| found.clone && !found.enabled) {
            if functions
                .iter()
                .any(|function| found.function.as_ref() == Some(&function.name))
            {
                steps.push(enable(&found.name, &found.table).counting(true));
            }
        }
        // The clones of a partitioned table's trigger replace its partitions' own: those of a table that became a partition.
        let taken_over = |found: &FoundTrigger| {
            found.name == ROW_TRIGGER && found.ancestors.iter().any(|table| wanted.contains(&(ROW_TRIGGER, table)))
        };
        let orphaned = |found: &&FoundTrigger| {
            let needed = wanted.contains(&(found.name.as_str(), &found.table)) || taken_over(found);
            found.function.is_some() && !found.clone && !needed
        };
        let needed = |found: &FoundFunction| functions.iter().any(|function| function.name == found.name);
        let reason = if state.functions.iter().any(needed) {
            UNNEEDED
        } else {
            STRANGE
        };
        let orphans = state.triggers.iter().filter(orphaned);
        steps.extend(orphans.map(|found| drop_trigger(found, reason)));
        let unneeded = state.functions.iter().filter(|found| !needed(found));
        steps.extend(unneeded.map(|found| drop_function(found, reason)));
        Self { steps }
    }

    /// Returns the steps that drop every trigger and function.
    #[must_use]
    pub fn removal(state: &State) -> Self {
        let ours = |found: &&FoundTrigger| found.function.is_some() && !found.clone;
        let triggers = state.triggers.iter().filter(ours).map(|found| drop_trigger(found, "removed"));
        let functions = state.functions.iter().map(|found| drop_function(found, "removed"));
        Self {
            steps: triggers.chain(functions).chain(state.definers.removal()).collect(),
        }
    }

    /// Splits off the steps that end a pause, as the first part: `apply` does not end an operator's pause.
    #[must_use]
    pub fn split_paused(self) -> (Self, Self) {
        let (paused, others) = self.steps.into_iter().partition(|step| step.reason == RESUME);
        (Self { steps: paused }, Self { steps: others })
    }

    /// Returns whether the database matches the configuration.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

/// Human-readable: each step with its reason and its lock.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            writeln!(f, "{}\n    because {}; {}", step.action, step.reason, step.lock)?;
            if step.counts_loss {
                writeln!(
                    f,
                    "    changes may have gone uncaptured: this step counts a loss, and subscribers are told to reload"
                )?;
            }
        }
        match self.steps.len() {
            0 => write!(f, "nothing to do: the database is as the configuration wants it"),
            1 => write!(f, "1 step; run `instant apply`"),
            steps => write!(f, "{steps} steps; run `instant apply`"),
        }
    }
}

/// Returns the steps for a function.
fn function_steps(function: &Function, found: Option<&FoundFunction>) -> Vec<Step> {
    let create = |verb: &str, reason| {
        let action = format!("{verb} function {}", function.sql_name());
        let sql = format!("{};\n{}", function.create(), function.revoke());
        vec![Step::new(action, reason, NO_LOCK, sql)]
    };
    let Some(found) = found else {
        return create("create", "it does not exist");
    };
    let same_settings = {
        let sorted = |settings: &[String]| {
            let mut settings = settings.to_vec();
            settings.sort();
            settings
        };
        sorted(&found.settings) == sorted(&function.settings)
    };
    let mut steps = if found.body == PAUSED {
        create("replace", RESUME)
    } else if found.body != function.body {
        create("replace", "its text differs from the generated one")
    } else if !same_settings {
        create("replace", "its settings were changed")
    } else if !found.fitting {
        create("replace", "it does not run as its owner")
    } else {
        Vec::new()
    };
    if !found.grantees.is_empty() {
        let sql = format!(
            "revoke all on function {} from {}",
            function.sql_name(),
            found.grantees.join(", ")
        );
        steps.push(Step::new(sql.clone(), "roles other than its owner may call it", NO_LOCK, sql));
    }
    steps
}

/// Returns the step for a trigger; `None` if it is as required.
fn trigger_step(name: &str, table: &QualifiedName, function: &Function, found: Option<&FoundTrigger>) -> Option<Step> {
    let (kind, create) = if name == ROW_TRIGGER {
        (ROW_TYPE, trigger::create_row_trigger(table, function))
    } else {
        (TRUNCATE_TYPE, trigger::create_truncate_trigger(table, function))
    };
    let action = |verb: &str| format!("{verb} trigger {} on {table}", identifier(name));
    let Some(found) = found else {
        return Some(Step::new(action("create"), "it does not exist", WRITES_WAIT, create));
    };
    let reason = if found.function.as_ref() != Some(&function.name) {
        "it calls another function"
    } else if found.kind != kind {
        "it fires at other times"
    } else if found.shape != Shape::Plain {
        "its definition differs"
    } else if !found.enabled {
        return Some(enable(name, table));
    } else {
        return None;
    };
    if found.shape == Shape::Constraint {
        let sql = format!("drop trigger {} on {};\n{create}", identifier(name), table.sql());
        return Some(Step::new(action("replace"), reason, ALL_WAIT, sql));
    }
    Some(Step::new(action("replace"), reason, WRITES_WAIT, create))
}

fn enable(name: &str, table: &QualifiedName) -> Step {
    let name = identifier(name);
    let sql = format!("alter table {} enable trigger {name}", table.sql());
    Step::new(
        format!("enable trigger {name} on {table}"),
        "it is disabled",
        WRITES_WAIT,
        sql,
    )
}

fn drop_trigger(found: &FoundTrigger, reason: &'static str) -> Step {
    let name = identifier(&found.name);
    let sql = format!("drop trigger if exists {name} on {}", found.table.sql());
    Step::new(format!("drop trigger {name} on {}", found.table), reason, ALL_WAIT, sql)
}

fn drop_function(found: &FoundFunction, reason: &'static str) -> Step {
    let name = format!("instant.{}()", identifier(&found.name));
    let sql = format!("drop function if exists {name}");
    Step::new(format!("drop function {name}"), reason, NO_LOCK, sql)
}

#[cfg(test)]
mod tests;
