//! The cookie that identifies `doctor` when it connects to Centrifugo as a browser does. An answer to it proves that Centrifugo asks this
//! Instant, with their shared secret, and passes the cookie on; it opens no channel.

use secrecy::SecretString;

use super::cookie;
use super::token::{self, Claims};

/// The name of the cookie, and of the member that is true in the data of an answer to it.
pub const COOKIE: &str = "instant_probe";
/// The issuer of its value, which no other token of this secret has.
const ISSUER: &str = "instant doctor";
/// Its lifetime, in seconds: the time for a connection, and for clocks that differ.
const LIFETIME: u64 = 60;

/// Returns a token without a user, which opens no channel, made at a time in seconds of the Unix epoch.
///
/// # Errors
/// When the claims cannot be serialized as JSON, which does not happen.
pub fn token(secret: &SecretString, now: u64) -> Result<String, serde_json::Error> {
    let claims = Claims {
        iss: ISSUER,
        sub: "",
        exp: now + LIFETIME,
        iat: now,
        channels: &[],
        sid: "",
    };
    token::sign(&claims, secret)
}

/// Returns the `Cookie` header of a probe, for a process that shares `secret` with Centrifugo.
///
/// # Errors
/// As [`token()`].
pub fn header(secret: &SecretString, now: u64) -> Result<String, serde_json::Error> {
    Ok(format!("{COOKIE}={}", token(secret, now)?))
}

/// Returns whether these `Cookie` headers are those of a probe.
#[must_use]
pub fn is_one(headers: &[&str], secret: &SecretString, now: u64) -> bool {
    let Some(value) = cookie::value(headers, COOKIE) else {
        return false;
    };
    token::verify(&value, secret, now).is_ok_and(|token| token.iss == ISSUER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_cookie_of_the_secret_is_a_probe_and_only_for_a_minute() {
        let (secret, other) = (SecretString::from("secret"), SecretString::from("other"));
        let header = header(&secret, 100).unwrap();
        assert!(is_one(&["a=1", &format!("b=2; {header}")], &secret, 159));
        assert!(!is_one(&[&header], &secret, 160));
        assert!(!is_one(&[&header], &other, 100));
        assert!(!is_one(&["instant_probe=", "instant_probe=a.b.c", ""], &secret, 100));
        let claims = Claims {
            iss: token::ISSUER,
            sub: "1",
            exp: 200,
            iat: 0,
            channels: &[],
            sid: "",
        };
        let token = token::sign(&claims, &secret).unwrap();
        assert!(!is_one(&[&format!("instant_probe={token}")], &secret, 100));
    }
}
