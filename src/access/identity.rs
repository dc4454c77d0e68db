//! Who asks.

use crate::mapping::channel;

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// Nobody in particular.
    Visitor,
    /// A user who is logged in.
    User(Identity),
}

/// An active user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user's key, as PostgreSQL and Django write it.
    pub user: String,
    /// `is_staff`.
    pub is_staff: bool,
    /// `is_superuser`.
    pub is_superuser: bool,
    /// The names of the groups.
    pub groups: Vec<String>,
    /// When the session ends, in seconds of the Unix epoch; none: it does not say.
    pub expires: Option<u64>,
}

impl Who {
    /// The user's key, as Centrifugo has it: empty for a visitor.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Visitor => "",
            Self::User(identity) => &identity.user,
        }
    }

    /// The channels of targets, without prefix. Each flag and group opens its own channel alone: a superuser is in no group and
    /// not in the staff because of that.
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
    fn a_flag_or_group_opens_its_own_channel_alone() {
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
