//! Closes connections that tokens have opened to Centrifugo, which does not report which these are. The hub does, so that each is
//! checked by itself.

use std::collections::BTreeSet;
use std::sync::Arc;

use tracing::info;

use super::{Failures, is_as_given};
use crate::access::{Access, Proof, Who};
use crate::publisher::centrifugo::Centrifugo;
use crate::web::Web;
use crate::web::backend::{disconnect_others, unsubscribe};
use crate::web::expiry::digest;
use crate::web::registry::{Grant, Kind};

/// Closes the connections of tokens: once for each change of their user's channels, and at every check if their session has ended.
///
/// A token opens new connections until it expires. Those with a token from before the change lose the channels that the user has lost;
/// those with another token stay.
pub(super) async fn cut(web: &Web, server: &Centrifugo, access: &Access, all: &[(String, Arc<Grant>, Who)], failures: &Failures) {
    let mut disconnected = BTreeSet::new();
    for (key, grant, who) in all {
        if failures.are_many() {
            return;
        }
        let Kind::Token(channels) = &grant.kind else { continue };
        let user = grant.user.as_str();
        let now = access.channels(who).unwrap_or_default();
        if is_as_given(access, grant, who) {
            for lost in channels.iter().filter(|channel| !now.contains(channel)) {
                failures.note(unsubscribe(server, user, None, lost).await);
            }
            continue;
        }
        if !disconnected.contains(user) {
            let is_done = disconnect_others(server, user, &with_session(all, user)).await;
            failures.note(is_done);
            if !is_done {
                continue;
            }
            info!(
                user,
                "the connections of a token were closed because their access has changed"
            );
            disconnected.insert(user);
        }
        if who.key() == user {
            web.registry.set_digest(key, digest(&now));
        }
    }
}

/// The connections of a user that have a session of their own, and are checked by themselves.
fn with_session<'a>(all: &'a [(String, Arc<Grant>, Who)], user: &str) -> Vec<&'a str> {
    let of_user = all.iter().map(|(_, grant, _)| grant).filter(|grant| grant.user == user);
    let with_session = of_user.filter(|grant| matches!(grant.proof, Proof::Session(_)));
    with_session.filter_map(|grant| grant.client()).collect()
}
