//! The functions through which the relay's role reads sessions and users: only by key, and never a password. Pure text.
//!
//! They run as their owner, who may read the project's tables. PostgreSQL binds their bodies when they are called, so that they block no
//! migration.

pub(super) mod found;

use super::identifier::{QualifiedName, dollar_quoted, identifier, literal};
use super::plan::{NO_LOCK, Step};

/// The functions' names.
pub(super) const NAMES: [&str; 2] = ["session_data", "session_identity"];
/// The column that holds whether a user is active.
const IS_ACTIVE: &str = "is_active";
/// The only setting: no caller can replace PostgreSQL's functions or operators by others.
const SETTINGS: [&str; 1] = ["search_path=pg_catalog, pg_temp"];

/// The tables and columns of users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Users {
    /// Their table.
    pub table: QualifiedName,
    /// The column of their key.
    pub key: String,
    /// That column's type.
    pub key_type: String,
    /// Which of `is_active`, `is_staff` and `is_superuser` the table has as booleans.
    pub flags: Vec<String>,
    /// Their groups; `None` if they have none.
    pub groups: Option<Groups>,
}

impl Users {
    /// Returns whether the table shows that users can be deactivated.
    pub(super) fn have_activity(&self) -> bool {
        self.flags.iter().any(|flag| flag == IS_ACTIVE)
    }
}

/// The tables and columns of users' groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Groups {
    /// The table of memberships.
    pub membership: QualifiedName,
    /// Its column of users.
    pub user: String,
    /// Its column of groups.
    pub group: String,
    /// The table of groups.
    pub table: QualifiedName,
    /// The column of their key.
    pub key: String,
}

/// A function that runs as its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definer {
    /// Its name in the schema `instant`.
    pub name: &'static str,
    /// Its arguments, as PostgreSQL writes them.
    pub arguments: &'static str,
    /// What it returns, as PostgreSQL writes it.
    pub returns: &'static str,
    /// Its body.
    pub body: String,
    /// The role that may call it in addition to its owner.
    pub caller: Option<String>,
}

/// An installed function of that kind.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct FoundDefiner {
    /// Its name.
    pub name: String,
    /// Its arguments.
    pub arguments: String,
    /// What it returns.
    pub returns: String,
    /// `pg_proc.prosrc`.
    pub body: String,
    /// `pg_proc.proconfig`.
    pub settings: Vec<String>,
    /// Whether it is SQL and runs as its owner.
    pub fitting: bool,
    /// Its owner.
    pub owner: String,
    /// The roles that may call it in addition to its owner.
    pub grantees: Vec<String>,
}

/// The required functions, and the installed ones.
#[derive(Clone, Debug, Default)]
pub struct Definers {
    /// The required functions.
    pub wanted: Vec<Definer>,
    /// The installed functions.
    pub found: Vec<FoundDefiner>,
}

/// Returns the function that reads a session that has not expired.
#[must_use]
pub fn session_data(table: &QualifiedName, caller: Option<&str>) -> Definer {
    Definer {
        name: NAMES[0],
        arguments: "session_key text",
        returns: "TABLE(data text, expires timestamp with time zone)",
        body: format!(
            "\n-- Written by `instant apply` from instant.toml; `instant plan` sees every edit.\nselect s.session_data::text, \
             s.expire_date\nfrom {} s\nwhere s.session_key = $1 and s.expire_date > now()\n",
            table.sql()
        ),
        caller: caller.map(str::to_owned),
    }
}

/// Returns the function that reads what Django's `get_user` needs of a user. A session fits if its hash is the HMAC-SHA256 of the
/// password column under one of the keys, which are passed padded for the inner and the outer hash: PostgreSQL has only SHA-256.
#[must_use]
pub fn session_identity(users: &Users, caller: Option<&str>) -> Definer {
    // For a model without the column, `AbstractBaseUser` is active, and neither staff nor superuser.
    let flag = |name: &str, otherwise: &str| {
        let column = users.flags.iter().find(|flag| *flag == name);
        column.map_or_else(|| otherwise.to_owned(), |column| format!("u.{}", identifier(column)))
    };
    let groups = users.groups.as_ref().map_or_else(
        || "array[]::text[]".to_owned(),
        |groups| {
            format!(
                "array(\n           select g.name::text\n           from {} m\n           join {} g on g.{} = m.{}\n           \
                 where m.{} = u.{}\n           order by g.name::text\n       )",
                groups.membership.sql(),
                groups.table.sql(),
                identifier(&groups.key),
                identifier(&groups.group),
                identifier(&groups.user),
                identifier(&users.key),
            )
        },
    );
    let key = identifier(&users.key);
    let body = format!(
        "\n-- Written by `instant apply` from instant.toml; `instant plan` sees every edit.\nselect u.{key}::text,\n       {},\n       \
         {},\n       {},\n       {groups},\n       exists (\n           select\n           from unnest($3, $4) as keys (inner_key, \
         outer_key)\n           where encode(sha256(outer_key || sha256(inner_key || convert_to(u.password::text, 'UTF8'))), 'hex') = \
         $2\n       )\nfrom {} u\nwhere u.{key} = $1::{}\n",
        flag(IS_ACTIVE, "true"),
        flag("is_staff", "false"),
        flag("is_superuser", "false"),
        users.table.sql(),
        users.key_type,
    );
    Definer {
        name: NAMES[1],
        arguments: "user_key text, session_hash text, inner_keys bytea[], outer_keys bytea[]",
        returns: "TABLE(id text, is_active boolean, is_staff boolean, is_superuser boolean, groups text[], fits boolean)",
        body,
        caller: caller.map(str::to_owned),
    }
}

impl Definer {
    /// Returns the statements that create it from scratch: the return type of a function cannot be replaced.
    fn create(&self) -> String {
        let name = format!("instant.{}({})", self.name, self.arguments);
        let grant = self.caller.as_ref().map_or_else(String::new, |role| {
            format!(";\ngrant execute on function {name} to {}", identifier(role))
        });
        format!(
            "drop function if exists {name};\ncreate function {name} returns {}\n    language sql stable security definer\n    \
             set search_path = pg_catalog, pg_temp\n    as {};\nrevoke all on function {name} from public{grant}",
            self.returns,
            dollar_quoted(&self.body),
        )
    }

    fn step(&self, found: Option<&FoundDefiner>) -> Option<Step> {
        let (verb, reason) = match found {
            None => ("create", "it does not exist"),
            Some(found) => ("replace", self.difference(found)?),
        };
        let action = format!("{verb} function instant.{}({})", self.name, self.arguments);
        Some(Step::new(action, reason, NO_LOCK, self.create()))
    }

    /// Returns the reason to replace `found`; `None` if there is none.
    fn difference(&self, found: &FoundDefiner) -> Option<&'static str> {
        let callers: Vec<&String> = self.caller.iter().filter(|caller| **caller != found.owner).collect();
        if found.body != self.body || found.returns != self.returns {
            Some("its text differs from the generated one")
        } else if found.settings != SETTINGS {
            Some("its settings were changed")
        } else if !found.fitting {
            Some("it does not run as its owner")
        } else if found.grantees.iter().collect::<Vec<_>>() != callers {
            Some("roles other than the relay's may call it, or the relay's may not")
        } else {
            None
        }
    }
}

impl Definers {
    /// Returns the steps from the installed functions to the required ones.
    pub(super) fn steps(&self) -> Vec<Step> {
        let is = |wanted: &Definer, found: &FoundDefiner| wanted.name == found.name && wanted.arguments == found.arguments;
        let mut steps: Vec<Step> = Vec::new();
        for wanted in &self.wanted {
            steps.extend(wanted.step(self.found.iter().find(|found| is(wanted, found))));
        }
        let unneeded = self
            .found
            .iter()
            .filter(|found| !self.wanted.iter().any(|wanted| is(wanted, found)));
        steps.extend(unneeded.map(|found| drop_definer(found, "`[django]` does not need it any more")));
        steps
    }

    /// Returns the steps that drop the installed functions.
    pub(super) fn removal(&self) -> impl Iterator<Item = Step> {
        self.found.iter().map(|found| drop_definer(found, "removed"))
    }
}

fn drop_definer(found: &FoundDefiner, reason: &'static str) -> Step {
    let name = format!("instant.{}({})", identifier(&found.name), found.arguments);
    let sql = format!("drop function if exists {name}");
    Step::new(format!("drop function {name}"), reason, NO_LOCK, sql)
}

/// Returns the names as a list of SQL literals.
pub(super) fn names() -> String {
    NAMES.map(literal).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users() -> Users {
        Users {
            table: QualifiedName::new("public", "auth_user"),
            key: "id".to_owned(),
            key_type: "integer".to_owned(),
            flags: ["is_active", "is_staff", "is_superuser"].map(str::to_owned).to_vec(),
            groups: Some(Groups {
                membership: QualifiedName::new("public", "auth_user_groups"),
                user: "user_id".to_owned(),
                group: "group_id".to_owned(),
                table: QualifiedName::new("public", "auth_group"),
                key: "id".to_owned(),
            }),
        }
    }

    #[test]
    fn the_functions_of_djangos_own_users() {
        let sessions = session_data(&QualifiedName::new("public", "django_session"), Some("relay"));
        insta::assert_snapshot!(format!(
            "{}\n\n{}",
            sessions.create(),
            session_identity(&users(), Some("relay")).create()
        ));
    }

    #[test]
    fn a_user_model_may_have_nothing_but_a_key_and_a_password() {
        let users = Users {
            table: QualifiedName::new("people", "Member's"),
            key: "Key".to_owned(),
            key_type: "uuid".to_owned(),
            flags: Vec::new(),
            groups: None,
        };
        insta::assert_snapshot!(session_identity(&users, None).body);
    }
}
