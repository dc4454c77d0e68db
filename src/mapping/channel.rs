//! The channels of targets, which rules publish to and users subscribe to.

use std::fmt::Write;

/// The channel of everyone.
pub const PUBLIC: &str = "public";
/// The channel of logged-in users.
pub const USERS: &str = "users";
/// The channel of users with `is_staff`.
pub const STAFF: &str = "staff";
/// The channel of users with `is_superuser`.
pub const SUPERUSER: &str = "superuser";

/// Returns the channel of the Django group `name`. Bytes that a channel cannot contain, or that separate its parts, become `%XX`.
#[must_use]
pub fn group(name: &str) -> String {
    let mut channel = String::with_capacity(name.len() + 6);
    channel.push_str("group.");
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') {
            channel.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(channel, "%{byte:02X}");
        }
    }
    channel
}

/// Returns the personal channel of the user whose key is `id`: Centrifugo admits only user `42` to `#42`.
#[must_use]
pub fn personal(id: &str) -> String {
    format!("#{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_name_of_any_characters_has_its_own_channel() {
        assert_eq!(group("editors"), "group.editors");
        assert_eq!(group("Night shift"), "group.Night%20shift");
        assert_eq!(group("a:b#c,d%é"), "group.a%3Ab%23c%2Cd%25%C3%A9");
    }
}
