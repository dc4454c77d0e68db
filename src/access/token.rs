//! Connection tokens for Centrifugo, and the secrets that it shares with Instant.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use crate::config::Centrifugo;
use crate::django::mac;

/// The only algorithm; it stands in no token that is read here, since none is.
const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;
/// What the derived secrets are for. Whoever has the API key may do more than either of them allows, and neither tells of it.
const TOKEN_PURPOSE: &[u8] = b"instant: connection tokens";
const PROXY_PURPOSE: &[u8] = b"instant: proxy requests";

/// What a connection token says.
#[derive(Clone, Debug, Serialize)]
pub struct Claims<'a> {
    /// The user's key; empty for a visitor.
    pub sub: &'a str,
    /// When it ends, in seconds of the Unix epoch.
    pub exp: u64,
    /// When it was made.
    pub iat: u64,
    /// The channels that the server subscribes to.
    pub channels: &'a [String],
}

/// A token, signed with HMAC-SHA256.
///
/// # Errors
/// When the claims cannot be written as JSON, for which there is no reason.
pub fn sign(claims: &Claims<'_>, secret: &SecretString) -> Result<String, serde_json::Error> {
    let payload = serde_json::to_vec(claims)?;
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(HEADER), URL_SAFE_NO_PAD.encode(payload));
    let signature = mac::digest(secret.expose_secret().as_bytes(), signed.as_bytes());
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// The key of connection tokens: the configured one, or one derived from the API key.
#[must_use]
pub fn secret(server: &Centrifugo) -> SecretString {
    match &server.token_secret {
        Some(secret) => secret.clone(),
        None => derived(server, TOKEN_PURPOSE),
    }
}

/// The value of the header by which Centrifugo is known, derived from the API key.
#[must_use]
pub fn proxy_secret(server: &Centrifugo) -> SecretString {
    derived(server, PROXY_PURPOSE)
}

fn derived(server: &Centrifugo, purpose: &[u8]) -> SecretString {
    let digest = mac::digest(server.api_key.expose_secret().as_bytes(), purpose);
    SecretString::from(URL_SAFE_NO_PAD.encode(digest))
}
