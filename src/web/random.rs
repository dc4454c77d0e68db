//! Random secrets.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::crypto::ring;

/// The system has no random numbers to make secrets from.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the system has no random numbers")]
pub struct NoRandomness;

/// An unguessable text: 256 bits in URL-safe Base64.
///
/// # Errors
/// When the system has no random numbers.
pub(super) fn secret() -> Result<String, NoRandomness> {
    let mut bytes = [0; 32];
    let random = ring::default_provider().secure_random;
    random.fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
