//! The questions to the database about sessions and users, through the functions that `apply` puts there. None takes a lock that
//! anyone could wait for.

use sqlx::PgPool;

use super::error::{Error, is_bad_value};
use super::identity::Identity;
use super::session::Session;
use crate::django::mac::pads;
use crate::django::signing::{Keys, derived};

/// The purpose of the session hash's key: `AbstractBaseUser.get_session_auth_hash`.
const HASH_PURPOSE: &str = "django.contrib.auth.models.AbstractBaseUser.get_session_auth_hash";

/// What the database says of a user.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct User {
    id: String,
    pub(super) is_active: bool,
    is_staff: bool,
    is_superuser: bool,
    groups: Vec<String>,
    /// Whether the session was made under the user's present password.
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
}

/// Keys are left out.
impl std::fmt::Debug for HashKeys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("HashKeys").finish_non_exhaustive()
    }
}

/// The signed data of a session that has not expired, and when it will, in seconds of the Unix epoch.
pub(super) async fn session(pool: &PgPool, key: &str) -> Result<Option<(String, u64)>, Error> {
    let row: Option<(String, i64)> =
        sqlx::query_as("select data, floor(extract(epoch from expires))::bigint from instant.session_data($1)")
            .bind(key)
            .fetch_optional(pool)
            .await
            .map_err(Error::of_lookup)?;
    Ok(row.map(|(data, expires)| (data, u64::try_from(expires).unwrap_or_default())))
}

/// The user that a session names.
pub(super) async fn user_of_session(pool: &PgPool, session: &Session, keys: &HashKeys) -> Result<Option<User>, Error> {
    ask(pool, &session.user, Some(&session.hash), &keys.inner, &keys.outer).await
}

/// The user of a key. Whether a session fits is not asked.
pub(super) async fn user(pool: &PgPool, key: &str) -> Result<Option<User>, Error> {
    ask(pool, key, None, &[], &[]).await
}

async fn ask(pool: &PgPool, key: &str, hash: Option<&str>, inner: &[Vec<u8>], outer: &[Vec<u8>]) -> Result<Option<User>, Error> {
    // PostgreSQL has no such text.
    if key.contains('\0') || hash.is_some_and(|hash| hash.contains('\0')) {
        return Ok(None);
    }
    let found = sqlx::query_as(
        "select id, is_active, is_staff, is_superuser, groups, fits
         from instant.session_identity($1, $2, $3, $4)",
    )
    .bind(key)
    .bind(hash)
    .bind(inner)
    .bind(outer)
    .fetch_optional(pool)
    .await;
    match found {
        // A key that is not of the column's type is nobody's.
        Err(error) if is_bad_value(&error) => Ok(None),
        found => found.map_err(Error::of_lookup),
    }
}
