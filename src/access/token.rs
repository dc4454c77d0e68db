//! Tokens, for Centrifugo and for the hub, and the secrets that the server shares with Instant.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Number;

use crate::config::{Centrifugo, Config};
use crate::django::mac;

/// The header, with the only algorithm.
const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;
/// The purposes of the derived secrets. The key that a secret is derived from allows more, and cannot be computed from it.
const TOKEN_PURPOSE: &[u8] = b"instant: connection tokens";
const PROXY_PURPOSE: &[u8] = b"instant: proxy requests";
const API_PURPOSE: &[u8] = b"instant: hub API";
/// The longest accepted token, in bytes.
const LONGEST: usize = 16 * 1024;

/// The issuer of the tokens made here: their channels are those of the user's targets.
pub const ISSUER: &str = "instant";

/// The claims of a connection token that is made here.
#[derive(Clone, Debug, Serialize)]
pub struct Claims<'a> {
    /// [`ISSUER`].
    pub iss: &'static str,
    /// The user's key; empty for an anonymous visitor.
    pub sub: &'a str,
    /// When it expires, in seconds of the Unix epoch.
    pub exp: u64,
    /// When it was made.
    pub iat: u64,
    /// The channels that the server subscribes the client to.
    pub channels: &'a [String],
    /// An identifier of the session that it was made for, which reveals nothing of the session's key; empty if there is no session.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub sid: &'a str,
}

/// Returns a token, signed with HMAC-SHA256.
///
/// # Errors
/// When the claims cannot be serialized as JSON, which does not happen.
pub fn sign(claims: &Claims<'_>, secret: &SecretString) -> Result<String, serde_json::Error> {
    let payload = serde_json::to_vec(claims)?;
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(HEADER), URL_SAFE_NO_PAD.encode(payload));
    let signature = mac::digest(secret.expose_secret().as_bytes(), signed.as_bytes());
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// The claims of a client's token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Token {
    /// The user's key; empty for an anonymous visitor.
    pub sub: String,
    /// When it expires, in seconds of the Unix epoch; 0 for never.
    #[serde(deserialize_with = "numeric_date")]
    pub exp: u64,
    /// From when it is valid, in seconds of the Unix epoch.
    #[serde(deserialize_with = "numeric_date")]
    pub nbf: u64,
    /// The channels that the server subscribes the client to, of a connection token.
    pub channels: Vec<String>,
    /// The channel of a subscription token.
    pub channel: String,
    /// The only connection that may use it; empty for any.
    pub client: String,
    /// Its issuer.
    pub iss: String,
    /// The session that it was made for, see [`Claims`].
    pub sid: String,
}

/// Reads a time that may have a fraction of a second, as RFC 7519 allows. One before the epoch is long ago, not 0, which means none.
fn numeric_date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let seconds = Number::deserialize(deserializer)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast saturates, and a NaN is no JSON"
    )]
    let whole = || {
        seconds
            .as_f64()
            .map_or(1, |seconds| if seconds < 0.0 { 1 } else { seconds as u64 })
    };
    Ok(seconds.as_u64().unwrap_or_else(whole))
}

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// It has expired.
    #[error("the token has expired")]
    Expired,
    /// It is not a token, is signed with another key, or is not valid yet.
    #[error("the token is not valid")]
    Forged,
}

/// Verifies a token that was signed with `secret`, at a time in seconds of the Unix epoch.
///
/// # Errors
/// When it is not such a token, is not valid yet, or has expired.
pub fn verify(token: &str, secret: &SecretString, now: u64) -> Result<Token, Invalid> {
    #[derive(Deserialize)]
    struct Header {
        alg: String,
    }
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| Invalid::Forged);
    if token.len() > LONGEST {
        return Err(Invalid::Forged);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(Invalid::Forged)?;
    let (header, payload) = signed.split_once('.').ok_or(Invalid::Forged)?;
    let expected = mac::digest(secret.expose_secret().as_bytes(), signed.as_bytes());
    if !mac::equal(&decode(signature)?, &expected) {
        return Err(Invalid::Forged);
    }
    let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| Invalid::Forged)?;
    if header.alg != "HS256" {
        return Err(Invalid::Forged);
    }
    let token: Token = serde_json::from_slice(&decode(payload)?).map_err(|_| Invalid::Forged)?;
    match token {
        Token { nbf, .. } if nbf > now => Err(Invalid::Forged),
        Token { exp, .. } if exp > 0 && exp <= now => Err(Invalid::Expired),
        token => Ok(token),
    }
}

/// Returns the key that signs tokens: the first of [`secrets`].
#[must_use]
pub fn secret(config: &Config) -> Option<SecretString> {
    secrets(config).into_iter().next()
}

/// Returns the keys of tokens, of which the first signs: the configured one, or those derived from the key of Centrifugo's API or the
/// hub's. Empty if there is no hub that accepts tokens.
#[must_use]
pub fn secrets(config: &Config) -> Vec<SecretString> {
    let (configured, keys) = match &config.centrifugo {
        Some(server) => (&server.token_secret, vec![server.api_key.clone()]),
        None => (&config.hub.token_secret, hub_keys(config)),
    };
    match configured {
        Some(secret) => vec![secret.clone()],
        None => keys.iter().map(|key| derived(key, TOKEN_PURPOSE)).collect(),
    }
}

/// Returns the value of the header that identifies Centrifugo, derived from the API key.
#[must_use]
pub fn proxy_secret(server: &Centrifugo) -> SecretString {
    derived(&server.api_key, PROXY_PURPOSE)
}

/// Returns the key with which to call the hub's API: the first of [`hub_keys`].
#[must_use]
pub fn hub_key(config: &Config) -> Option<SecretString> {
    hub_keys(config).into_iter().next()
}

/// Returns the keys of the hub's API: the configured one, or those derived from Django's, so that what was made under a fallback is valid
/// as long as a session is. Empty if the hub has no API.
#[must_use]
pub fn hub_keys(config: &Config) -> Vec<SecretString> {
    if let Some(key) = &config.hub.api_key {
        return vec![key.clone()];
    }
    let django = config.django.as_ref();
    let keys = django.and_then(|django| Some((django.secret_key.as_ref()?, &django.secret_key_fallbacks)));
    let keys = keys
        .into_iter()
        .flat_map(|(current, fallbacks)| std::iter::once(current).chain(fallbacks));
    keys.map(|secret| derived(secret, API_PURPOSE)).collect()
}

fn derived(key: &SecretString, purpose: &[u8]) -> SecretString {
    let digest = mac::digest(key.expose_secret().as_bytes(), purpose);
    SecretString::from(URL_SAFE_NO_PAD.encode(digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_token_of_this_key_and_algorithm_is_accepted_and_only_in_its_time() {
        let secret = SecretString::from("secret");
        let claims = Claims {
            iss: ISSUER,
            sub: "42",
            exp: 100,
            iat: 0,
            channels: &["public".to_owned()],
            sid: "",
        };
        let token = sign(&claims, &secret).unwrap();
        let found = verify(&token, &secret, 99).unwrap();
        assert_eq!((found.sub.as_str(), found.exp, found.channels.len()), ("42", 100, 1));
        assert_eq!(verify(&token, &secret, 100), Err(Invalid::Expired));
        assert_eq!(verify(&token, &SecretString::from("other"), 99), Err(Invalid::Forged));
        let signed = |header: &str, payload: &str| {
            let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
            let signature = URL_SAFE_NO_PAD.encode(mac::digest(b"secret", signed.as_bytes()));
            (signed, signature)
        };
        let of_script = |payload: &str| {
            let (signed, signature) = signed(r#"{"alg":"HS256"}"#, payload);
            verify(&format!("{signed}.{signature}"), &secret, 99)
        };
        assert_eq!(
            of_script(r#"{"exp":100.75,"nbf":98.5}"#).map(|token| (token.exp, token.nbf)),
            Ok((100, 98))
        );
        assert_eq!(of_script(r#"{"exp":-0.5}"#), Err(Invalid::Expired));
        for forged in ["", "a.b.c", "..", &token[1..], &token[..token.len() - 1]] {
            assert_eq!(verify(forged, &secret, 99), Err(Invalid::Forged), "{forged}");
        }
        let (signed, signature) = signed(r#"{"alg":"none"}"#, r#"{"sub":"1"}"#);
        for forged in [format!("{signed}.{signature}"), format!("{signed}.")] {
            assert_eq!(verify(&forged, &secret, 99), Err(Invalid::Forged), "{forged}");
        }
    }
}
