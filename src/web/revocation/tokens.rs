//! Cuts what tokens have opened at Centrifugo, which does not tell which connections these are. The hub does, and each is asked about by
//! itself.

use std::collections::BTreeSet;
use std::sync::Arc;

use tracing::info;

use super::{Failures, is_as_given};
use crate::access::{Access, Proof, Who};
use crate::publisher::centrifugo::Centrifugo;
use crate::web::Web;
use crate::web::backend::{disconnect_others, unsubscribe};
use crate::web::registry::{Kind, Open};
use crate::web::validity::digest;

/// Cuts the connections of tokens, once for each change of what their user hears, and again and again where their session has ended.
///
/// A token opens new connections until it ends. Those that come with one from before the change lose what the user has lost, and the
/// others, which came with another, go on.
pub(super) async fn cut(web: &Web, server: &Centrifugo, access: &Access, all: &[(String, Arc<Open>, Who)], failures: &Failures) {
    let mut disconnected = BTreeSet::new();
    for (key, open, who) in all {
        if failures.are_many() {
            return;
        }
        let Kind::Token(channels) = &open.kind else { continue };
        let user = open.user.as_str();
        let now = access.channels(who).unwrap_or_default();
        if is_as_given(access, open, who) {
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
                "the connections of a token were cut, since what they may hear has changed"
            );
            disconnected.insert(user);
        }
        if who.key() == user {
            web.registry.told(key, digest(&now));
        }
    }
}

/// The connections of a user that came with a session of their own, for which these are asked about by themselves.
fn with_session<'a>(all: &'a [(String, Arc<Open>, Who)], user: &str) -> Vec<&'a str> {
    let of_user = all.iter().map(|(_, open, _)| open).filter(|open| open.user == user);
    let with_session = of_user.filter(|open| matches!(open.proof, Proof::Session(_)));
    with_session.filter_map(|open| open.client()).collect()
}
