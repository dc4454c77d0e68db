//! The complete SQL script, for a DBA who lets no tool change the database.

use std::fmt::Write;

use sqlx::PgPool;

use super::error::Error;
use super::grant;
use super::identity::Definers;
use super::identity::found::Tables;
use super::installed::{self, State};
use super::plan::Plan;
use super::schema::{self, MIGRATIONS_TABLE, SchemaState};
use super::watch::Watch;
use crate::capture::identifier::literal;
use crate::config::Config;

/// The text before the first statement.
const HEAD: &str = "\
-- What `instant apply` runs on a database without anything of Instant, in order. Each part is a transaction of its own, so that no
-- lock is held while the next is waited for. Where a statement gets no lock within two seconds, run it again at a quieter time.
set lock_timeout = '2s';
";

/// Returns the script: the schema and the record of its migrations, grants, functions and triggers, each with the lock that it takes.
/// After it, `plan` finds nothing to do.
///
/// # Errors
/// When the database, which is asked for the tables of each watch, does not answer, or a table that `[django]` needs is missing.
pub async fn script(pool: &PgPool, config: &Config, watches: &[Watch]) -> Result<String, Error> {
    let django = Tables::find(pool, config).await?;
    let mut grants = Vec::new();
    if let Some(role) = &config.database.relay_role {
        let own = grant::RELAY.iter().map(|right| right.grant(&role.value));
        grants.extend(own.map(|grant| (grant, "the relay's role needs it")));
        grants.extend(grant::project::missing(pool, &role.value, watches, &django).await?);
    }
    let senders = grant::senders(pool, watches, true).await?;
    let of_senders = senders
        .iter()
        .flat_map(|role| grant::SENDER.iter().map(|right| right.grant(role)));
    grants.extend(of_senders.map(|grant| (grant, "this role owns a watched table and may send messages by hand")));
    let state = State {
        schema: SchemaState::Current,
        functions: Vec::new(),
        triggers: Vec::new(),
        tables: installed::tables(pool, watches).await?,
        missing_grants: grants,
        definers: Definers {
            wanted: django.definers(config),
            found: Vec::new(),
        },
    };
    Ok(text(&Plan::new(watches, &state)))
}

/// Returns the script of a plan for a database without anything of ours.
fn text(plan: &Plan) -> String {
    let mut script = HEAD.to_owned();
    // Writing to a String cannot fail.
    let _ = write!(script, "\n-- The schema: no lock on your tables.\nbegin;\n{}", migrations());
    script.push_str("commit;\n");
    for step in &plan.steps {
        let sql = step.sql.as_deref().unwrap_or_default();
        let _ = write!(script, "\n-- {}: {}.\nbegin;\n{sql};\ncommit;\n", step.action, step.lock);
    }
    script.push_str("\nreset lock_timeout;\n");
    script
}

/// Returns the migrations, and the table that records for `apply` that they have run, as sqlx defines it.
fn migrations() -> String {
    let mut text = String::new();
    for (number, migration) in schema::migrations().enumerate() {
        let _ = writeln!(text, "{}\n", migration.sql.as_str().trim_end());
        if number == 0 {
            let _ = writeln!(
                text,
                "-- Which migrations have run.\ncreate table {MIGRATIONS_TABLE} (\n    version        bigint      primary key,\n    \
                 description    text        not null,\n    installed_on   timestamptz not null default now(),\n    \
                 success        boolean     not null,\n    checksum       bytea       not null,\n    \
                 execution_time bigint      not null\n);"
            );
        }
        let checksum: String = migration.checksum.iter().fold(String::new(), |mut digits, byte| {
            let _ = write!(digits, "{byte:02x}");
            digits
        });
        let _ = writeln!(
            text,
            "insert into {MIGRATIONS_TABLE} (version, description, success, checksum, execution_time)\nvalues ({}, {}, true, \
             decode('{checksum}', 'hex'), -1);",
            migration.version,
            literal(&migration.description),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::identifier::QualifiedName;

    #[test]
    fn the_script_says_what_each_part_locks() {
        let table = QualifiedName::new("public", "shop_order");
        let step = crate::capture::plan::Step {
            action: format!("create trigger on {table}"),
            reason: "it does not exist",
            lock: "share row exclusive on the table",
            counts_loss: false,
            sql: Some("create trigger …".to_owned()),
        };
        let text = text(&Plan { steps: vec![step] });
        // The migrations have files of their own; this test is about the text around them.
        let (head, rest) = text.split_once("-- The schema of Instant").unwrap();
        let (_, tail) = rest.rsplit_once("commit;\n\n-- create trigger").unwrap();
        insta::assert_snapshot!(format!("{head}…\ncommit;\n\n-- create trigger{tail}"));
        assert_eq!(text.matches("\nbegin;\n").count(), text.matches("\ncommit;\n").count());
    }
}
