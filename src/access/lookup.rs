//! The queries for sessions and users, through the functions that `apply` installs. None takes a lock that another session could wait
//! for.

use sqlx::PgPool;

use super::error::{Error, is_bad_value};
use super::identity::Identity;
use crate::django::mac::pads;
use crate::django::signing::{Keys, derived};

/// The purpose of the session hash's key: `AbstractBaseUser.get_session_auth_hash`.
const HASH_PURPOSE: &str = "django.contrib.auth.models.AbstractBaseUser.get_session_auth_hash";

/// A user, as recorded in the database.
#[expect(clippy::struct_excessive_bools, reason = "a row has the columns that it has")]
#[derive(Debug, sqlx::FromRow)]
pub(super) struct User {
    id: String,
    pub(super) is_active: bool,
    is_staff: bool,
    is_superuser: bool,
    groups: Vec<String>,
    /// Whether the session was made under the user's current password.
    pub(super) fits: bool,
}

impl User {
    pub(super) fn identity(self, expires: Option<u64>) -> Identity {
        Identity {
            user: self.id,
            is_staff: self.is_staff,
            is_superuser: self.is_superuser,
            groups: self.groups,
            expires,
        }
    }
}

/// The keys of session hashes, padded for the inner and the outer hash.
#[derive(Clone)]
pub(super) struct HashKeys {
    inner: Vec<Vec<u8>>,
    outer: Vec<Vec<u8>>,
}

impl HashKeys {
    pub(super) fn new(keys: &Keys) -> Self {
        let (inner, outer) = keys.iter().map(|secret| pads(&derived(HASH_PURPOSE, secret))).unzip();
        Self { inner, outer }
    }

    /// Creates an empty set of keys, which no session fits.
    pub(super) const fn none() -> Self {
        Self {
            inner: Vec::new(),
            outer: Vec::new(),
        }
    }
}

/// Without the keys, which are secret.
impl std::fmt::Debug for HashKeys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("HashKeys").finish_non_exhaustive()
    }
}

/// A user to be looked up.
#[derive(Debug)]
pub(super) struct Login {
    /// The index of its proof among those that are identified.
    pub(super) place: usize,
    /// The user's key.
    pub(super) user: String,
    /// The HMAC of the password column at the log-in; `None` if the user is proved otherwise.
    pub(super) hash: Option<String>,
    /// When the session ends, in seconds of the Unix epoch.
    pub(super) expires: Option<u64>,
}

/// Returns the sessions with these keys that have not expired: the index of the key, the signed data, and when the session ends, in seconds
/// of the Unix epoch.
pub(super) async fn sessions(pool: &PgPool, keys: &[&str]) -> Result<Vec<(usize, String, u64)>, Error> {
    let rows: Vec<(i64, String, i64)> = sqlx::query_as(
        "select asked.number - 1, found.data, floor(extract(epoch from found.expires))::bigint
         from unnest($1::text[]) with ordinality as asked (key, number)
         cross join lateral instant.session_data(asked.key) as found",
    )
    .bind(keys)
    .fetch_all(pool)
    .await
    .map_err(Error::of_lookup)?;
    Ok(rows
        .into_iter()
        .map(|(place, data, expires)| (whole(place), data, u64::try_from(expires).unwrap_or_default()))
        .collect())
}

/// Returns the users of these log-ins that exist, each with the index of its log-in. A flag may be null in a model of the project's own,
/// and is then false, as for Django.
pub(super) async fn users(pool: &PgPool, logins: &[Login], keys: &HashKeys) -> Result<Vec<(usize, User)>, Error> {
    let found: Result<Vec<UserRow>, _> = sqlx::query_as(
        "select asked.number - 1 as place, found.id, coalesce(found.is_active, false) as is_active,
                coalesce(found.is_staff, false) as is_staff, coalesce(found.is_superuser, false) as is_superuser, found.groups, found.fits
         from unnest($1::text[], $2::text[]) with ordinality as asked (key, hash, number)
         cross join lateral instant.session_identity(asked.key, asked.hash, $3, $4) as found",
    )
    .bind(logins.iter().map(|login| login.user.as_str()).collect::<Vec<_>>())
    .bind(logins.iter().map(|login| login.hash.as_deref()).collect::<Vec<_>>())
    .bind(&keys.inner)
    .bind(&keys.outer)
    .fetch_all(pool)
    .await;
    match found {
        Ok(rows) => Ok(rows.into_iter().map(|row| (whole(row.place), row.user)).collect()),
        // A key that is not of the column's type belongs to no user, and makes the whole query fail.
        Err(error) if is_bad_value(&error) && logins.len() <= 1 => Ok(Vec::new()),
        Err(error) if is_bad_value(&error) => {
            let mut found = Vec::new();
            for (place, login) in logins.chunks(1).enumerate() {
                let alone = Box::pin(users(pool, login, keys)).await?;
                found.extend(alone.into_iter().map(|(_, user)| (place, user)));
            }
            Ok(found)
        }
        Err(error) => Err(Error::of_lookup(error)),
    }
}

#[derive(sqlx::FromRow)]
struct UserRow {
    place: i64,
    #[sqlx(flatten)]
    user: User,
}

fn whole(place: i64) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}
