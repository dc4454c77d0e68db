//! The log-in that a session holds: the user, and the password's hash.

use serde::Deserialize;

/// The salt of sessions in the database, which Django derives from the name of the class `SessionStore`.
pub(super) const DATABASE_SALT: &str = "django.contrib.sessions.SessionStore";
/// The salt of sessions in cookies.
pub(super) const COOKIE_SALT: &str = "django.contrib.sessions.backends.signed_cookies";
/// The longest session key: the column has 40 characters.
const LONGEST_KEY: usize = 40;
/// The shortest session key that Django accepts.
const SHORTEST_KEY: usize = 8;

/// The log-in that a session holds.
#[derive(Debug, Deserialize)]
pub(super) struct Session {
    #[serde(rename = "_auth_user_id")]
    pub(super) user: String,
    /// The HMAC of the password column.
    #[serde(rename = "_auth_user_hash")]
    pub(super) hash: String,
    /// Required: without a backend, Django does not look the user up.
    #[serde(rename = "_auth_user_backend")]
    _backend: String,
}

impl Session {
    /// Parses a payload; `None` if nobody is logged in, or it is not JSON (a pickled session is never unpickled).
    pub(super) fn parse(payload: &[u8]) -> Option<Self> {
        serde_json::from_slice(payload).ok()
    }
}

/// Returns whether a cookie's value can be the key of a session in the database.
pub(super) fn is_key(value: &str) -> bool {
    (SHORTEST_KEY..=LONGEST_KEY).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_json_session_with_user_hash_and_backend_is_a_log_in() {
        let whole = r#"{"_auth_user_id":"7","_auth_user_backend":"b","_auth_user_hash":"h","cart":{"a":[1]}}"#;
        assert_eq!(
            Session::parse(whole.as_bytes()).map(|session| session.user).as_deref(),
            Some("7")
        );
        for payload in [
            "",
            "{}",
            "[]",
            "null",
            "cos\nsystem\n(S'true'\ntR.",
            r#"{"_auth_user_id":"7","_auth_user_backend":"b"}"#,
            r#"{"_auth_user_id":"7","_auth_user_hash":"h"}"#,
            r#"{"_auth_user_id":7,"_auth_user_backend":"b","_auth_user_hash":"h"}"#,
            r#"{"_auth_user_id":null,"_auth_user_backend":"b","_auth_user_hash":"h"}"#,
        ] {
            assert!(Session::parse(payload.as_bytes()).is_none(), "{payload}");
        }
    }
}
