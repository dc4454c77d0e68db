//! The rights that roles need on the schema `instant`.

pub(super) mod project;

use sqlx::PgPool;

use super::identifier::identifier;
use super::schema::{ANNOUNCE, BROADCAST};
use super::watch::Watch;

/// The privileges that a role needs on an object.
#[derive(Debug)]
pub(super) struct Right {
    object: Object,
    /// In lower case.
    privileges: &'static [&'static str],
}

#[derive(Debug)]
enum Object {
    Schema,
    Table(&'static str),
    Sequence(&'static str),
    /// With the types of its arguments.
    Function(&'static str),
}

/// The rights of the relay, which reads and purges the outbox, moves its cursor, names its channel of announcements, parks dead letters
/// and counts losses; `instant send` runs as its role too.
pub(super) const RELAY: [Right; 8] = [
    Right {
        object: Object::Schema,
        privileges: &["usage"],
    },
    Right {
        object: Object::Table("instant.outbox"),
        privileges: &["select", "delete"],
    },
    Right {
        object: Object::Table("instant.relay"),
        privileges: &["select", "update"],
    },
    Right {
        object: Object::Table("instant.announcement"),
        privileges: &["select", "update"],
    },
    Right {
        object: Object::Table("instant.dead_letter"),
        privileges: &["select", "insert", "update", "delete"],
    },
    Right {
        object: Object::Table("instant._sqlx_migrations"),
        privileges: &["select"],
    },
    Right {
        object: Object::Sequence("instant.lost"),
        privileges: &["select", "usage"],
    },
    Right {
        object: Object::Function(BROADCAST),
        privileges: &["execute"],
    },
];

/// The rights of an application that sends messages by hand.
pub(super) const SENDER: [Right; 2] = [
    Right {
        object: Object::Schema,
        privileges: &["usage"],
    },
    Right {
        object: Object::Function(BROADCAST),
        privileges: &["execute"],
    },
];

/// The rights of a trigger function's owner, the role that it writes as. While the relay dozes, the insert returns what is announced,
/// which is a read.
pub(super) const DEFINER: [Right; 4] = [
    Right {
        object: Object::Schema,
        privileges: &["usage"],
    },
    Right {
        object: Object::Table("instant.outbox"),
        privileges: &["select", "insert"],
    },
    Right {
        object: Object::Sequence("instant.lost"),
        privileges: &["usage"],
    },
    Right {
        object: Object::Function(ANNOUNCE),
        privileges: &["execute"],
    },
];

impl Right {
    /// Returns the statement that grants the right to `role`. It takes no lock on any table of the project.
    pub(super) fn grant(&self, role: &str) -> String {
        let on = match self.object {
            Object::Schema => "schema instant".to_owned(),
            Object::Table(name) => name.to_owned(),
            Object::Sequence(name) => format!("sequence {name}"),
            Object::Function(name) => format!("function {name}"),
        };
        format!("grant {} on {on} to {}", self.privileges.join(", "), identifier(role))
    }

    /// Returns whether `role` has all of the privileges; false if the object is missing. Takes no lock.
    async fn held(&self, pool: &PgPool, role: &str) -> Result<bool, sqlx::Error> {
        let (statement, name) = match self.object {
            Object::Schema => (
                "select coalesce(bool_and(has_schema_privilege($1, to_regnamespace($2)::oid, privilege)), false)
                 from unnest($3) as privilege",
                "instant",
            ),
            Object::Table(name) => (
                "select coalesce(bool_and(has_table_privilege($1, to_regclass($2)::oid, privilege)), false)
                 from unnest($3) as privilege",
                name,
            ),
            Object::Sequence(name) => (
                "select coalesce(bool_and(has_sequence_privilege($1, to_regclass($2)::oid, privilege)), false)
                 from unnest($3) as privilege",
                name,
            ),
            Object::Function(name) => (
                "select coalesce(bool_and(has_function_privilege($1, to_regprocedure($2)::oid, privilege)), false)
                 from unnest($3) as privilege",
                name,
            ),
        };
        sqlx::query_scalar(statement)
            .bind(role)
            .bind(name)
            .bind(self.privileges)
            .fetch_one(pool)
            .await
    }
}

/// Returns the grants that `role` lacks, as statements.
pub(super) async fn missing(pool: &PgPool, role: &str, rights: &[Right]) -> Result<Vec<String>, sqlx::Error> {
    let mut missing = Vec::new();
    for right in rights {
        if !right.held(pool, role).await? {
            missing.push(right.grant(role));
        }
    }
    Ok(missing)
}

/// Returns the roles that send messages by hand: the owners of the watched tables, which applications mostly connect as. Superusers need
/// no grant, nor does the role that creates the schema, if that does not exist yet. Takes no lock.
pub(super) async fn senders(pool: &PgPool, watches: &[Watch], schema_is_current: bool) -> Result<Vec<String>, sqlx::Error> {
    let schemas: Vec<&str> = watches.iter().map(|watch| watch.schema.as_str()).collect();
    let tables: Vec<&str> = watches.iter().map(|watch| watch.table.as_str()).collect();
    sqlx::query_scalar(
        "select distinct r.rolname::text
         from unnest($1::text[], $2::text[]) as watched (schema, name)
         join pg_namespace n on n.nspname = watched.schema
         join pg_class c on c.relnamespace = n.oid and c.relname = watched.name
         join pg_roles r on r.oid = c.relowner
         where not r.rolsuper and ($3 or r.rolname <> current_user)
         order by 1",
    )
    .bind(schemas)
    .bind(tables)
    .bind(schema_is_current)
    .fetch_all(pool)
    .await
}
