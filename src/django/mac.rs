//! HMAC-SHA256 with keys of any length.

use hmac::digest::Key;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// The size of a SHA-256 block in bytes, to which a key is padded.
pub const BLOCK: usize = 64;

/// The byte with which the padded key is combined before the inner hash (`ipad` of RFC 2104).
const INNER: u8 = 0x36;
/// The byte with which the padded key is combined before the outer hash (`opad` of RFC 2104).
const OUTER: u8 = 0x5c;

/// A keyed HMAC-SHA256.
pub type HmacSha256 = Hmac<Sha256>;

/// Returns an HMAC-SHA256 keyed with `key`. As RFC 2104 requires, a key longer than a block is hashed first.
#[must_use]
pub fn keyed(key: &[u8]) -> HmacSha256 {
    HmacSha256::new(&Key::<HmacSha256>::from(block(key)))
}

/// Returns the HMAC-SHA256 of `message`.
#[must_use]
pub fn digest(key: &[u8], message: &[u8]) -> Vec<u8> {
    keyed(key).chain_update(message).finalize().into_bytes().to_vec()
}

/// Returns the padded keys for the inner and the outer hash. With them, the HMAC can be computed with SHA-256 only.
#[must_use]
pub fn pads(key: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let combined = |with: u8| block(key).map(|byte| byte ^ with).to_vec();
    (combined(INNER), combined(OUTER))
}

/// Returns whether two texts are equal. The time it takes reveals only whether their lengths differ.
#[must_use]
pub fn equal(left: &[u8], right: &[u8]) -> bool {
    // Under a random key, the position of the first difference reveals nothing about the texts.
    let key: [u8; 32] = std::array::from_fn(|_| fastrand::u8(..));
    left.len() == right.len() && keyed(&key).chain_update(left).verify_slice(&digest(&key, right)).is_ok()
}

/// Pads `key` to a block, or hashes it first if it is longer.
fn block(key: &[u8]) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    if key.len() > BLOCK {
        let hash = Sha256::digest(key);
        block[..hash.len()].copy_from_slice(&hash);
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_hashes_of_padded_keys_are_the_hmac() {
        for key in [&b"short"[..], &[7; 64], &[7; 65], &[7; 200]] {
            let (inner, outer) = pads(key);
            let hash = Sha256::digest([&inner[..], b"message"].concat());
            let hash = Sha256::digest([&outer[..], &hash[..]].concat());
            assert_eq!(hash.to_vec(), digest(key, b"message"));
            let library = <HmacSha256 as KeyInit>::new_from_slice(key).unwrap();
            assert_eq!(hash, library.chain_update(b"message").finalize().into_bytes());
        }
    }

    #[test]
    fn only_equal_texts_are_equal() {
        assert!(equal(b"", b"") && equal(b"abc", b"abc"));
        assert!(!equal(b"abc", b"abd") && !equal(b"abc", b"ab") && !equal(b"", b"a"));
    }
}
