//! Secrets that are made here.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::crypto::ring;

/// The system has no random numbers, of which secrets are made.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the system has no random numbers")]
pub struct NoRandomness;

/// A text that nobody can guess: 256 bits, in the letters of URLs.
///
/// # Errors
/// When the system has no random numbers.
pub(super) fn secret() -> Result<String, NoRandomness> {
    let mut bytes = [0; 32];
    let random = ring::default_provider().secure_random;
    random.fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
