//! How long an answer about a user is valid, and a digest that shows whether it has changed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::access::{self, Identity, Who};

/// Seconds that an answer is valid before it is checked again.
const REFRESH: u64 = 300;

/// A short digest of channels.
pub(super) fn digest(channels: &[String]) -> String {
    let hash = Sha256::digest(channels.join("\n"));
    URL_SAFE_NO_PAD.encode(&hash[..12])
}

/// When an answer about `who` expires, in seconds of the Unix epoch: after a second at least, even in a session's last one, or it would
/// be checked again immediately.
pub(super) fn expiry(who: &Who) -> u64 {
    let now = access::now();
    match who {
        Who::User(Identity {
            expires: Some(expires), ..
        }) => (*expires).clamp(now + 1, now + REFRESH),
        Who::User(_) | Who::Visitor => now + REFRESH,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_valid_for_a_second_at_least_and_for_five_minutes_at_most() {
        let now = access::now();
        let validity = |expires| {
            let identity = Identity {
                user: "1".to_owned(),
                is_staff: false,
                is_superuser: false,
                groups: Vec::new(),
                expires,
            };
            expiry(&Who::User(identity)).saturating_sub(now)
        };
        assert!((1..=5).contains(&validity(Some(now))) && (1..=5).contains(&validity(Some(0))));
        assert_eq!(validity(Some(now + 100)), 100);
        assert!((300..=305).contains(&validity(Some(now + 1000))) && (300..=305).contains(&validity(None)));
    }
}
