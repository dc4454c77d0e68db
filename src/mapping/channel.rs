//! The channels that targets name: those that rules publish to, and that users are let into.

use std::fmt::Write;

/// Everyone's channel.
pub const PUBLIC: &str = "public";
/// The channel of those who are logged in.
pub const USERS: &str = "users";
/// The channel of users with `is_staff`.
pub const STAFF: &str = "staff";
/// The channel of users with `is_superuser`.
pub const SUPERUSER: &str = "superuser";

/// The channel of the Django group `name`: bytes that a channel cannot carry, or that separate its parts, are written `%XX`.
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

/// The personal channel of the user whose key is `id`: Centrifugo lets user `42` alone into `#42`.
#[must_use]
pub fn personal(id: &str) -> String {
    format!("#{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_name_of_any_characters_is_a_channel_of_its_own() {
        assert_eq!(group("editors"), "group.editors");
        assert_eq!(group("Night shift"), "group.Night%20shift");
        assert_eq!(group("a:b#c,d%é"), "group.a%3Ab%23c%2Cd%25%C3%A9");
    }
}
