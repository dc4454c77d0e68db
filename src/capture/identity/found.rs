//! Discovery of the project's tables of sessions and users, and of our installed functions. Reads only PostgreSQL's catalog, and takes no
//! lock that another session could wait for.

use sqlx::postgres::types::Oid;
use sqlx::{AssertSqlSafe, PgPool};

use super::{Definer, FoundDefiner, Groups, Users, names, session_data, session_identity};
use crate::capture::catalog;
use crate::capture::error::Error;
use crate::capture::identifier::QualifiedName;
use crate::config::{Config, Django, SessionEngine};
use crate::django;

/// The table of sessions.
const SESSIONS: &str = "django_session";

/// The tables in which Django keeps sessions and users.
pub(in crate::capture) struct Tables {
    sessions: Option<QualifiedName>,
    users: Option<Users>,
}

impl Tables {
    /// Finds the tables of `config`: none without `[django]`, and no users if the site identifies users (`whoami`) and this database has
    /// none of Django's.
    ///
    /// # Errors
    /// When the database does not answer, or a table is missing or does not fit.
    pub(in crate::capture) async fn find(pool: &PgPool, config: &Config) -> Result<Self, Error> {
        Ok(match &config.django {
            Some(settings) => Self {
                sessions: sessions(pool, settings).await?,
                users: users(pool, settings).await?,
            },
            None => Self {
                sessions: None,
                users: None,
            },
        })
    }

    /// Returns the functions that read them.
    pub(in crate::capture) fn definers(&self, config: &Config) -> Vec<Definer> {
        let caller = config.database.relay_role.as_ref().map(|role| role.value.as_str());
        let sessions = self.sessions.iter().map(|table| session_data(table, caller));
        sessions
            .chain(self.users.iter().map(|users| session_identity(users, caller)))
            .collect()
    }

    /// Iterates over their schemas.
    pub(in crate::capture) fn schemas(&self) -> impl Iterator<Item = &str> {
        let users = self.users.as_ref().map(|users| users.table.schema.as_str());
        self.sessions.iter().map(|table| table.schema.as_str()).chain(users)
    }
}

/// Returns the table of sessions; `None` if Instant does not read sessions.
pub(in crate::capture) async fn sessions(pool: &PgPool, settings: &Django) -> Result<Option<QualifiedName>, Error> {
    if settings.session_engine != SessionEngine::Database || settings.whoami.is_some() {
        return Ok(None);
    }
    let Some(table) = catalog::find(pool, None, SESSIONS).await? else {
        return Err(Error::NoTable {
            table: SESSIONS.to_owned(),
            place: catalog::absence(pool, None).await?,
            help: "run `manage.py migrate`, or set `session_engine` in `[django]`",
        });
    };
    Ok(Some(table.name))
}

/// Returns the tables of users. If the site identifies users (`whoami`), they need not be in this database, unless the file names them.
pub(in crate::capture) async fn users(pool: &PgPool, settings: &Django) -> Result<Option<Users>, Error> {
    match described(pool, settings).await {
        Err(Error::NoTable { .. } | Error::NoUsers(_)) if settings.whoami.is_some() && settings.user_model.place.is_none() => {
            Ok(None)
        }
        users => users.map(Some),
    }
}

/// Returns our installed functions.
pub(in crate::capture) async fn found(pool: &PgPool) -> Result<Vec<FoundDefiner>, sqlx::Error> {
    let statement = format!(
        "select p.proname::text as name, pg_get_function_identity_arguments(p.oid) as arguments,
                coalesce(pg_get_function_result(p.oid), '') as returns, p.prosrc as body, coalesce(p.proconfig, '{{}}') as settings,
                p.prosecdef and l.lanname = 'sql' as fitting, r.rolname::text as owner,
                array(
                    select distinct coalesce(g.rolname::text, 'public')
                    from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
                    left join pg_roles g on g.oid = a.grantee
                    where a.grantee <> p.proowner
                    order by 1
                ) as grantees
         from pg_proc p
         join pg_language l on l.oid = p.prolang
         join pg_roles r on r.oid = p.proowner
         where p.pronamespace = to_regnamespace('instant') and p.proname in ({})
         order by 1, 2",
        names()
    );
    // The names are constants.
    sqlx::query_as(AssertSqlSafe(statement)).fetch_all(pool).await
}

/// Returns the tables of the user model.
async fn described(pool: &PgPool, settings: &Django) -> Result<Users, Error> {
    let model = &settings.user_model;
    let named = django::table(pool, &model.app, &model.name, model.table.as_ref()).await?;
    let Some(relation) = catalog::find(pool, named.schema.as_deref(), &named.name).await? else {
        return Err(Error::NoTable {
            place: catalog::absence(pool, named.schema.as_deref()).await?,
            table: named.name,
            help: "set `user_model` in `[django]` to AUTH_USER_MODEL, and `user_table` where that model sets `db_table`",
        });
    };
    let columns = columns(pool, relation.oid).await?;
    let key = columns.iter().find(|column| column.is_key);
    let (Some(key), true) = (key, columns.iter().any(|column| column.name == "password")) else {
        return Err(Error::NoUsers(relation.name.to_string()));
    };
    let flags = ["is_active", "is_staff", "is_superuser"].into_iter();
    let has = |flag: &&str| columns.iter().any(|column| column.name == *flag && column.is_boolean);
    Ok(Users {
        key: key.name.clone(),
        key_type: key.kind.clone(),
        flags: flags.filter(has).map(str::to_owned).collect(),
        groups: groups(pool, relation.oid, &relation.name).await?,
        table: relation.name,
    })
}

#[derive(sqlx::FromRow)]
struct Column {
    name: String,
    kind: String,
    /// Whether its type is boolean, or a domain over that.
    is_boolean: bool,
    is_key: bool,
}

/// Returns the columns of a table. A composite key does not count as a key, since that of Django's users has one column.
async fn columns(pool: &PgPool, table: Oid) -> Result<Vec<Column>, sqlx::Error> {
    sqlx::query_as(
        "select a.attname::text as name, format_type(a.atttypid, -1) as kind,
                exists (with recursive types (oid, base) as (
                            select t.oid, t.typbasetype from pg_type t where t.oid = a.atttypid
                            union all
                            select t.oid, t.typbasetype from types join pg_type t on t.oid = types.base
                        )
                        select from types where oid = 'boolean'::regtype) as is_boolean,
                exists (select from pg_index i
                        where i.indrelid = a.attrelid and i.indisprimary and i.indnatts = 1 and i.indkey[0] = a.attnum) as is_key
         from pg_attribute a
         where a.attrelid = $1 and a.attnum > 0 and not a.attisdropped
         order by a.attnum",
    )
    .bind(table)
    .fetch_all(pool)
    .await
}

/// Returns the many-to-many table between users and groups, which Django names after the users' table.
async fn groups(pool: &PgPool, users: Oid, name: &QualifiedName) -> Result<Option<Groups>, sqlx::Error> {
    let row: Option<(String, String, String, String, String, String, String)> = sqlx::query_as(
        "select n.nspname::text, c.relname::text, of_user.attname::text, of_group.attname::text,
                gn.nspname::text, g.relname::text, key.attname::text
         from pg_class c
         join pg_namespace n on n.oid = c.relnamespace
         join pg_constraint to_user on to_user.conrelid = c.oid and to_user.contype = 'f' and to_user.confrelid = $1
         join pg_attribute of_user on of_user.attrelid = c.oid and of_user.attnum = to_user.conkey[1]
         join pg_constraint to_group on to_group.conrelid = c.oid and to_group.contype = 'f'
         join pg_class g on g.oid = to_group.confrelid and g.relname = $3::text
         join pg_namespace gn on gn.oid = g.relnamespace
         join pg_attribute of_group on of_group.attrelid = c.oid and of_group.attnum = to_group.conkey[1]
         join pg_attribute key on key.attrelid = g.oid and key.attnum = to_group.confkey[1]
         where c.relname = $2::text || '_groups'
         limit 1",
    )
    .bind(users)
    .bind(&name.name)
    .bind(django::GROUPS)
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|(schema, membership, user, group, group_schema, table, key)| Groups {
        membership: QualifiedName::new(schema, membership),
        user,
        group,
        table: QualifiedName::new(group_schema, table),
        key,
    }))
}
