//! Signed values in the format of `django.core.signing`: `payload:timestamp:signature`.

use std::io::{Read, Write};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use hmac::Mac;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::mac::{self, HmacSha256};

/// The separator of the parts.
const SEPARATOR: char = ':';
/// The prefix of a compressed payload.
const COMPRESSED: char = '.';
/// The most bytes that a payload may decompress to: no session is larger, and a small cookie can expand to a huge payload.
const LARGEST: u64 = 1 << 20;
/// The base62 digits of a timestamp.
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Django's `SECRET_KEY`, which signs, and `SECRET_KEY_FALLBACKS`, which are also accepted.
#[derive(Clone, Debug)]
pub struct Keys {
    /// `SECRET_KEY`.
    pub current: SecretString,
    /// `SECRET_KEY_FALLBACKS`.
    pub fallbacks: Vec<SecretString>,
}

/// Django's `TimestampSigner` for one salt.
#[derive(Clone)]
pub struct Signer {
    signing: HmacSha256,
    accepted: Vec<HmacSha256>,
}

/// Why a value is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It does not have the format of a signed value.
    #[error("it is not a signed value")]
    Malformed,
    /// Its signature matches no key.
    #[error("its signature does not match SECRET_KEY or a fallback")]
    Forged,
    /// It is older than allowed.
    #[error("it has expired")]
    Expired,
    /// Its payload exceeds the accepted size.
    #[error("its payload is too large")]
    Large,
}

impl Keys {
    /// Iterates over all keys, the signing one first.
    pub fn iter(&self) -> impl Iterator<Item = &SecretString> {
        std::iter::once(&self.current).chain(&self.fallbacks)
    }
}

/// Derives the key for a purpose like `salted_hmac`, which hashes the name of the purpose and the secret together.
#[must_use]
pub fn derived(purpose: &str, secret: &SecretString) -> [u8; 32] {
    Sha256::new()
        .chain_update(purpose)
        .chain_update(secret.expose_secret())
        .finalize()
        .into()
}

impl Signer {
    /// Creates a signer for `salt`.
    #[must_use]
    pub fn new(keys: &Keys, salt: &str) -> Self {
        let purpose = format!("{salt}signer");
        let keyed = |secret| mac::keyed(&derived(&purpose, secret));
        Self {
            signing: keyed(&keys.current),
            accepted: keys.iter().map(keyed).collect(),
        }
    }

    /// Signs `payload` at `at` (Unix time in seconds), compressed if that is shorter: `signing.dumps`.
    #[must_use]
    pub fn sign(&self, payload: &[u8], at: u64) -> String {
        let encoded = match compressed(payload).filter(|short| short.len() + 1 < payload.len()) {
            Some(short) => format!("{COMPRESSED}{}", URL_SAFE_NO_PAD.encode(short)),
            None => URL_SAFE_NO_PAD.encode(payload),
        };
        let value = format!("{encoded}{SEPARATOR}{}", base62(at));
        let signature = self.signing.clone().chain_update(&value).finalize().into_bytes();
        format!("{value}{SEPARATOR}{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// Verifies a signed value and returns its payload: `signing.loads`. `now` is Unix time in seconds.
    ///
    /// # Errors
    /// When the value is malformed, matches no key, is older than `max_age`, or is too large.
    pub fn unsign(&self, signed: &str, max_age: Option<Duration>, now: u64) -> Result<Vec<u8>, Refusal> {
        let (value, signature) = signed.rsplit_once(SEPARATOR).ok_or(Refusal::Malformed)?;
        // Decoding accepts only the canonical encoding, so that no other text has the same signature.
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| Refusal::Forged)?;
        let is_ours = |key: &HmacSha256| key.clone().chain_update(value).verify_slice(&signature).is_ok();
        if !self.accepted.iter().any(is_ours) {
            return Err(Refusal::Forged);
        }
        let (encoded, timestamp) = value.rsplit_once(SEPARATOR).ok_or(Refusal::Malformed)?;
        let at = from_base62(timestamp).ok_or(Refusal::Malformed)?;
        if max_age.is_some_and(|age| at.saturating_add(age.as_secs()) < now) {
            return Err(Refusal::Expired);
        }
        let decode = |text| URL_SAFE_NO_PAD.decode(text).map_err(|_| Refusal::Malformed);
        match encoded.strip_prefix(COMPRESSED) {
            Some(short) => decompressed(&decode(short)?),
            None => decode(encoded),
        }
    }
}

/// Omits the keys.
impl std::fmt::Debug for Signer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Signer").finish_non_exhaustive()
    }
}

/// Compresses with zlib; `None` on an error, which an in-memory buffer gives no reason for.
fn compressed(payload: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(payload).ok()?;
    encoder.finish().ok()
}

/// Decompresses a payload of up to [`LARGEST`] bytes.
fn decompressed(short: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut payload = Vec::new();
    let mut decoder = ZlibDecoder::new(short).take(LARGEST + 1);
    decoder.read_to_end(&mut payload).map_err(|_| Refusal::Malformed)?;
    if payload.len() as u64 > LARGEST {
        return Err(Refusal::Large);
    }
    Ok(payload)
}

/// Encodes like Django's `b62_encode`.
fn base62(mut number: u64) -> String {
    let mut digits = Vec::new();
    loop {
        let digit = usize::try_from(number % 62).unwrap_or_default();
        digits.push(char::from(DIGITS[digit]));
        number /= 62;
        if number == 0 {
            return digits.iter().rev().collect();
        }
    }
}

/// Decodes like Django's `b62_decode`, but no negative numbers.
fn from_base62(text: &str) -> Option<u64> {
    text.bytes().try_fold(0_u64, |number, byte| {
        let digit = DIGITS.iter().position(|digit| *digit == byte)?;
        number.checked_mul(62)?.checked_add(u64::try_from(digit).ok()?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer(keys: &[&str]) -> Signer {
        let keys: Vec<SecretString> = keys.iter().map(|key| SecretString::from(*key)).collect();
        let (current, fallbacks) = keys.split_first().unwrap();
        let (current, fallbacks) = (current.clone(), fallbacks.to_vec());
        Signer::new(&Keys { current, fallbacks }, "salt")
    }

    #[test]
    fn a_value_is_read_until_it_is_too_old() {
        let key = signer(&["key"]);
        let signed = key.sign(b"payload", 1000);
        let age = Some(Duration::from_secs(10));
        assert_eq!(key.unsign(&signed, age, 1010), Ok(b"payload".to_vec()));
        assert_eq!(key.unsign(&signed, age, 1011), Err(Refusal::Expired));
        assert_eq!(key.unsign(&signed, None, u64::MAX), Ok(b"payload".to_vec()));
    }

    #[test]
    fn a_rotated_key_is_accepted_while_it_is_a_fallback() {
        let old = signer(&["old"]).sign(b"x", 0);
        assert_eq!(signer(&["new", "older", "old"]).unsign(&old, None, 0), Ok(b"x".to_vec()));
        assert_eq!(signer(&["new"]).unsign(&old, None, 0), Err(Refusal::Forged));
        let new = signer(&["new", "old"]).sign(b"x", 0);
        assert_eq!(signer(&["old"]).unsign(&new, None, 0), Err(Refusal::Forged));
    }

    #[test]
    fn a_small_value_that_would_fill_the_memory_is_refused() {
        let key = signer(&["key"]);
        let limit = usize::try_from(LARGEST).unwrap();
        let signed = key.sign(&vec![b' '; limit], 0);
        assert!(signed.starts_with(COMPRESSED) && signed.len() < 10_000);
        assert_eq!(key.unsign(&signed, None, 0).map(|payload| payload.len()), Ok(limit));
        let signed = key.sign(&vec![b' '; limit * 64], 0);
        assert_eq!(key.unsign(&signed, None, 0), Err(Refusal::Large));
    }

    #[test]
    fn anything_but_a_signed_value_is_refused() {
        for text in ["", ":", "::", "a", "a:b", "a:b:c", "é:é:é", ".:.:.", &":".repeat(5000)] {
            assert!(signer(&["key"]).unsign(text, None, 0).is_err(), "{text}");
        }
    }

    #[test]
    fn no_key_shows_in_the_debug_form() {
        let keys = Keys {
            current: SecretString::from("hunter2"),
            fallbacks: vec![SecretString::from("hunter3")],
        };
        let shown = format!("{keys:?} {:?}", Signer::new(&keys, "salt"));
        assert!(!shown.contains("hunter"), "{shown}");
    }
}
