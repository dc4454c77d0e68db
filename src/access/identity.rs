//! The identity of a client.

use crate::mapping::channel;

/// A client: an anonymous visitor or a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// An anonymous visitor.
    Visitor,
    /// A user who is logged in.
    User(Identity),
}

/// An active user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user's key, in the notation of PostgreSQL and Django.
    pub user: String,
    /// `is_staff`.
    pub is_staff: bool,
    /// `is_superuser`.
    pub is_superuser: bool,
    /// The names of the user's groups.
    pub groups: Vec<String>,
    /// When the session ends, in seconds of the Unix epoch; `None` if that is unknown.
    pub expires: Option<u64>,
}

impl Who {
    /// Returns the user's key, as in Centrifugo: empty for an anonymous visitor.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Visitor => "",
            Self::User(identity) => &identity.user,
        }
    }

    /// Returns the channels of targets, without prefix. Each flag and group opens only its own channel: a superuser is not therefore in a
    /// group or in the staff.
    pub(super) fn channels(&self) -> Vec<String> {
        let mut channels = vec![channel::PUBLIC.to_owned()];
        let Self::User(identity) = self else {
            return channels;
        };
        channels.push(channel::USERS.to_owned());
        if identity.is_staff {
            channels.push(channel::STAFF.to_owned());
        }
        if identity.is_superuser {
            channels.push(channel::SUPERUSER.to_owned());
        }
        channels.extend(identity.groups.iter().map(|group| channel::group(group)));
        channels.push(channel::personal(&identity.user));
        channels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_or_group_opens_only_its_own_channel() {
        let user = |is_staff, is_superuser, groups: &[&str]| {
            Who::User(Identity {
                user: "42".to_owned(),
                is_staff,
                is_superuser,
                groups: groups.iter().map(|group| (*group).to_owned()).collect(),
                expires: None,
            })
            .channels()
        };
        assert_eq!(Who::Visitor.channels(), ["public"]);
        assert_eq!(user(false, false, &[]), ["public", "users", "#42"]);
        assert_eq!(user(true, false, &[]), ["public", "users", "staff", "#42"]);
        assert_eq!(
            user(false, true, &["a b"]),
            ["public", "users", "superuser", "group.a%20b", "#42"]
        );
    }
}
