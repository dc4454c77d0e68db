//! The difference between what the configuration wants and what the database has. Pure: the state is read elsewhere.

use super::schema::SchemaState;
use super::trigger::{self, ROW_TRIGGER, TRUNCATE_TRIGGER, identifier};
use super::watch::Watch;

/// `pg_trigger.tgtype` of an AFTER row trigger for insert, delete and update.
const ROW_TYPE: i16 = 1 | 4 | 8 | 16;
/// `pg_trigger.tgtype` of an AFTER statement trigger for truncate.
const TRUNCATE_TYPE: i16 = 32;

/// What `apply` would do, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// One step a transaction.
    pub steps: Vec<Step>,
}

/// One change of the database.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Step {
    /// What is done: `create trigger "!instant" on public.shop_order`.
    pub action: String,
    /// Why.
    pub reason: &'static str,
    /// The lock it takes, or that it takes none.
    pub lock: &'static str,
    /// What runs; none for the migrations, which have statements of their own.
    pub sql: Option<String>,
}

/// What the database has.
#[derive(Clone, Debug)]
pub struct State {
    /// The schema.
    pub schema: SchemaState,
    /// The functions named `capture_…` in the schema.
    pub functions: Vec<FoundFunction>,
    /// The triggers with our names, wherever they are.
    pub triggers: Vec<FoundTrigger>,
    /// The tables of each watch: its own, and those that inherit from it; by [`Watch::source`].
    pub tables: Vec<(String, Vec<String>)>,
    /// The relay's role and the grants it lacks, as statements.
    pub missing_grants: Vec<String>,
}

/// A trigger function as the database has it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct FoundFunction {
    /// Its name, without the schema.
    pub name: String,
    /// `pg_proc.prosrc`.
    pub body: String,
    /// `pg_proc.proconfig`.
    pub settings: Vec<String>,
    /// `pg_proc.prosecdef`.
    pub security_definer: bool,
    /// Whether anybody may attach it to a table of their own.
    pub public: bool,
}

/// A trigger as the database has it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct FoundTrigger {
    /// Its name.
    pub name: String,
    /// Its table, quoted and with its schema.
    pub table: String,
    /// Its function's name; none when it is not one of ours.
    pub function: Option<String>,
    /// `pg_trigger.tgtype`.
    pub kind: i16,
    /// `pg_trigger.tgenabled` is `O` or `A`.
    pub enabled: bool,
    /// Whether it has a WHEN clause or a column list.
    pub conditional: bool,
}

impl Plan {
    /// The steps from `state` to what `watches` want.
    #[must_use]
    pub fn new(watches: &[Watch], state: &State) -> Self {
        let mut steps = Vec::new();
        match state.schema {
            SchemaState::Missing => steps.push(migration("create schema instant", "it is not there")),
            SchemaState::Older => steps.push(migration("migrate schema instant", "it is of an older version")),
            SchemaState::Current | SchemaState::Newer => {}
        }
        for sql in &state.missing_grants {
            steps.push(Step {
                action: sql.clone(),
                reason: "the relay's role lacks it",
                lock: "no lock on your tables",
                sql: Some(sql.clone()),
            });
        }
        let mut wanted = Vec::new();
        for watch in watches {
            let name = trigger::function_name(watch);
            if let Some(reason) = function_differs(watch, state.functions.iter().find(|function| function.name == name)) {
                let action = format!("create function instant.{name}()");
                steps.push(Step {
                    action,
                    reason,
                    lock: "no lock on your tables",
                    sql: Some(trigger::create_function(watch)),
                });
            }
            let tables = state
                .tables
                .iter()
                .find(|(source, _)| *source == watch.source)
                .map_or(&[][..], |(_, tables)| tables);
            for table in tables {
                let row = (ROW_TRIGGER, ROW_TYPE, trigger::create_row_trigger(watch, table));
                let truncate = (
                    TRUNCATE_TRIGGER,
                    TRUNCATE_TYPE,
                    trigger::create_truncate_trigger(watch, table),
                );
                for (trigger, kind, create) in [row, truncate] {
                    wanted.push((trigger, table.as_str()));
                    let found = state
                        .triggers
                        .iter()
                        .find(|found| found.name == trigger && found.table == *table);
                    steps.extend(trigger_step(trigger, table, kind, &name, create, found));
                }
            }
        }
        for found in &state.triggers {
            if !wanted.contains(&(found.name.as_str(), found.table.as_str())) {
                steps.push(drop_trigger(found, "its table is not watched any more"));
            }
        }
        for function in &state.functions {
            if !watches.iter().any(|watch| trigger::function_name(watch) == function.name) {
                steps.push(drop_function(&function.name, "no watch needs it any more"));
            }
        }
        Self { steps }
    }

    /// The steps that take every trigger and function away again.
    #[must_use]
    pub fn removal(state: &State) -> Self {
        let triggers = state.triggers.iter().map(|found| drop_trigger(found, "removed"));
        let functions = state
            .functions
            .iter()
            .map(|function| drop_function(&function.name, "removed"));
        Self {
            steps: triggers.chain(functions).collect(),
        }
    }

    /// Whether the database is as the configuration wants it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

fn migration(action: &str, reason: &'static str) -> Step {
    Step {
        action: action.to_owned(),
        reason,
        lock: "no lock on your tables",
        sql: None,
    }
}

fn drop_trigger(found: &FoundTrigger, reason: &'static str) -> Step {
    let sql = format!("drop trigger if exists {} on {}", identifier(&found.name), found.table);
    Step {
        action: sql.clone(),
        reason,
        lock: "access exclusive on the table, for a moment",
        sql: Some(sql),
    }
}

fn drop_function(name: &str, reason: &'static str) -> Step {
    let sql = format!("drop function if exists instant.{}()", identifier(name));
    Step {
        action: sql.clone(),
        reason,
        lock: "no lock on your tables",
        sql: Some(sql),
    }
}

/// Why a function has to be made again; none when it is as wanted.
fn function_differs(watch: &Watch, found: Option<&FoundFunction>) -> Option<&'static str> {
    let Some(found) = found else { return Some("it is not there") };
    let settings: Vec<_> = trigger::settings(watch)
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    if found.body != trigger::body(watch) {
        Some("its text is not what the configuration makes of it")
    } else if found.settings != settings || !found.security_definer {
        Some("its settings were changed")
    } else if found.public {
        Some("anybody may execute it")
    } else {
        None
    }
}

/// What has to be done for one trigger; none when it is as wanted.
fn trigger_step(
    name: &str,
    table: &str,
    kind: i16,
    function: &str,
    create: String,
    found: Option<&FoundTrigger>,
) -> Option<Step> {
    let quoted = identifier(name);
    let step = |verb: &str, reason, lock, sql| Step {
        action: format!("{verb} trigger {quoted} on {table}"),
        reason,
        lock,
        sql: Some(sql),
    };
    match found {
        None => Some(step(
            "create",
            "it is not there",
            "share row exclusive on the table: writes wait for a moment",
            create,
        )),
        Some(found) if found.kind != kind || found.conditional || found.function.as_deref() != Some(function) => {
            let sql = format!("drop trigger {quoted} on {table};\n{create}");
            Some(step(
                "replace",
                "it is defined otherwise",
                "access exclusive on the table, for a moment",
                sql,
            ))
        }
        Some(found) if !found.enabled => {
            let sql = format!("alter table {table} enable trigger {quoted}");
            Some(step(
                "enable",
                "it is disabled",
                "share row exclusive on the table: writes wait for a moment",
                sql,
            ))
        }
        Some(_) => None,
    }
}
