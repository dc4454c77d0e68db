//! How long an answer about somebody holds, and by what it is known to have changed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::access::{self, Identity, Who};

/// How long an answer holds before it is asked for again.
const REFRESH: u64 = 300;

/// A short text that differs when the channels do.
pub(super) fn digest(channels: &[String]) -> String {
    let hash = Sha256::digest(channels.join("\n"));
    URL_SAFE_NO_PAD.encode(&hash[..12])
}

/// Until when an answer about `who` holds, in seconds of the Unix epoch: for a second at least, also in a session's last one, or it
/// would be asked for again at once.
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
    fn an_answer_holds_for_a_second_at_least_and_for_five_minutes_at_most() {
        let now = access::now();
        let holds = |expires| {
            let identity = Identity {
                user: "1".to_owned(),
                is_staff: false,
                is_superuser: false,
                groups: Vec::new(),
                expires,
            };
            expiry(&Who::User(identity)).saturating_sub(now)
        };
        assert!((1..=5).contains(&holds(Some(now))) && (1..=5).contains(&holds(Some(0))));
        assert_eq!(holds(Some(now + 100)), 100);
        assert!((300..=305).contains(&holds(Some(now + 1000))) && (300..=305).contains(&holds(None)));
    }
}
