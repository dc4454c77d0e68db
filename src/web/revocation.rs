//! Cuts what is no longer allowed: open connections whose session, user or groups have changed, and subscriptions that their rule
//! would refuse now.
//!
//! The answers are asked for again, some hundreds with a few statements, instead of watching the tables: no trigger stands on them, and
//! whatever changes an answer is seen, also the end of a session or a row that a rule's query reads.

mod tokens;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::Web;
use super::backend::Backend;
use super::registry::Open;
use super::trouble::chain;
use super::validity::digest;
use crate::access::{self, Access, Error, Who};

/// Between two looks: with a look's own time, and Centrifugo's, what is revoked is cut within five seconds.
const PERIOD: Duration = Duration::from_secs(2);
/// Connections or subscriptions that Centrifugo is told to cut at once, for each question about a room.
const CUTS: usize = 8;
/// Questions in a row without an answer, or cuts that are not made, after which a look is given up: the database or Centrifugo is away.
const GIVE_UP: u32 = 20;

/// What is looked at again.
#[derive(Clone, Copy, Debug)]
pub(super) enum Subject {
    /// Sessions, users and groups.
    Connections,
    /// Subscriptions that rules have allowed. A slow query holds up these alone.
    Rooms,
}

/// Looks at everything that is open, again and again until `shutdown`.
pub(super) async fn watch(web: Arc<Web>, subject: Subject, shutdown: CancellationToken) {
    let Some(server) = &web.backend else { return };
    let (mut failing, mut broken) = (false, BTreeSet::new());
    loop {
        tokio::select! {
            () = tokio::time::sleep(PERIOD) => {}
            () = shutdown.cancelled() => return,
        }
        let looked = match subject {
            Subject::Connections => connections(&web, server).await,
            Subject::Rooms => rooms(&web, server, &mut broken).await,
        };
        match looked {
            Ok(()) if failing => info!(?subject, "what is revoked is cut again"),
            Err(ref error) if !failing => {
                warn!(?subject, error = %chain(error), "what is revoked cannot be seen until the database answers");
            }
            _ => {}
        }
        failing = looked.is_err();
    }
}

/// Cuts the connections whose user is another now, or hears other channels, and those whose time is over.
async fn connections(web: &Web, server: &Backend) -> Result<(), Error> {
    let access = web.revocation();
    let all = identified(web, &access).await?;
    let changed = all
        .iter()
        .filter(|(_, open, who)| open.is_over(access::now()) || !is_as_given(&access, open, who));
    let cuts = changed.filter_map(|(key, open, _)| Some(disconnect(web, server, key, open, open.client()?)));
    let failures = Failures::default();
    failures.of(cuts).await;
    if let Backend::Centrifugo(server) = server {
        tokens::cut(web, server, &access, &all, &failures).await;
    }
    Ok(())
}

/// Cuts a connection; returns whether it is done.
async fn disconnect(web: &Web, server: &Backend, key: &str, open: &Open, client: &str) -> bool {
    if !server.disconnect(&open.user, client).await {
        return false;
    }
    if open.is_over(access::now()) {
        debug!(
            user = open.user,
            "a connection was cut, so that its client asks again for its rooms"
        );
    } else {
        info!(user = open.user, "a connection was cut, since what it may hear has changed");
    }
    web.registry.closed(key);
    true
}

/// Ends a subscription; returns whether it is done.
async fn unsubscribe(web: &Web, server: &Backend, key: &str, open: &Open, room: &str) -> bool {
    if !server.unsubscribe(&open.user, open.client(), room).await {
        return false;
    }
    info!(
        user = open.user,
        channel = room,
        "a subscription was ended, since its rule refuses it now"
    );
    web.registry.left(key, room);
    true
}

/// Failures in a row of one look: one that comes again and again keeps nothing else from being done, and many are a server that is away.
#[derive(Debug, Default)]
struct Failures(AtomicU32);

impl Failures {
    fn note(&self, is_done: bool) {
        if is_done {
            self.0.store(0, Ordering::Relaxed);
        } else {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether the rest is left to the next look.
    fn are_many(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= GIVE_UP
    }

    /// Makes some of these cuts at once, each of which may take some seconds where Centrifugo hangs.
    async fn of(&self, cuts: impl Iterator<Item = impl Future<Output = bool>>) {
        stream::iter(cuts)
            .for_each_concurrent(CUTS, |cut| async {
                if !self.are_many() {
                    self.note(cut.await);
                }
            })
            .await;
    }
}

/// Ends the subscriptions that their rule would refuse; however many listen to a room, each user is asked about once. A rule that cannot be asked is told of once, and stands in `broken` until it can.
/// One question without an answer keeps no other from it, but for many in a row.
async fn rooms(web: &Web, server: &Backend, broken: &mut BTreeSet<String>) -> Result<(), Error> {
    let access = web.revocation();
    let mut questions = BTreeMap::new();
    for (key, open, who) in identified(web, &access).await? {
        if !is_as_given(&access, &open, &who) {
            // It is cut as a whole.
            continue;
        }
        // These tell users apart, and what they are.
        let own = access.channels(&who);
        for room in &open.rooms {
            let question = questions.entry((own.clone(), room.clone())).or_insert_with(|| Question {
                who: who.clone(),
                room: room.clone(),
                subscriptions: Vec::new(),
            });
            question.subscriptions.push((key.clone(), Arc::clone(&open)));
        }
    }
    let (failed, unanswered) = (Mutex::new(BTreeMap::new()), Mutex::new(None));
    let (failures, uncut) = (Failures::default(), Failures::default());
    stream::iter(questions.into_values())
        .for_each_concurrent(access::QUERIES, |question| {
            let (access, failed, unanswered, failures, uncut) = (&access, &failed, &unanswered, &failures, &uncut);
            async move {
                if failures.are_many() {
                    return;
                }
                match question.ask(web, server, access, uncut).await {
                    Ok(()) => failures.note(true),
                    Err(Error::Rule { channel, source }) => {
                        failures.note(true);
                        let mut failed = failed.lock();
                        failed.entry(channel).or_insert(source);
                    }
                    Err(error) => {
                        failures.note(false);
                        *unanswered.lock() = Some(error);
                    }
                }
            }
        })
        .await;
    let failed = failed.into_inner();
    let before = std::mem::take(broken);
    for (channel, source) in failed {
        broken.insert(channel.clone());
        if !before.contains(&channel) {
            let error = chain(&Error::Rule { channel, source });
            warn!(error, "a rule cannot be asked again; whom it has let in stays until it can");
        }
    }
    let unanswered = unanswered.into_inner();
    unanswered.map_or(Ok(()), Err)
}

/// Whether somebody may still listen to a room, through however many connections.
struct Question {
    who: Who,
    room: String,
    /// The connections that listen, with their keys.
    subscriptions: Vec<(String, Arc<Open>)>,
}

impl Question {
    /// Asks, and ends the subscriptions where their rule refuses.
    async fn ask(&self, web: &Web, server: &Backend, access: &Access, uncut: &Failures) -> Result<(), Error> {
        let Self {
            who,
            room,
            subscriptions,
            ..
        } = self;
        if access.may_subscribe(who, room).await? {
            return Ok(());
        }
        let cuts = subscriptions
            .iter()
            .map(|(key, open)| unsubscribe(web, server, key, open, room));
        uncut.of(cuts).await;
        Ok(())
    }
}

async fn identified(web: &Web, access: &Access) -> Result<Vec<(String, Arc<Open>, Who)>, Error> {
    let open = web.registry.all(access::now());
    let proofs: Vec<_> = open.iter().map(|(_, open)| &open.proof).collect();
    let who = access.identify_all(&proofs).await?;
    Ok(open.into_iter().zip(who).map(|((key, open), who)| (key, open, who)).collect())
}

/// Whether the user is still the one who was answered, and hears the same channels.
fn is_as_given(access: &Access, open: &Open, who: &Who) -> bool {
    let same = |digest: &String| self::digest(&access.channels(who).unwrap_or_default()) == *digest;
    who.key() == open.user && open.digest.as_ref().is_none_or(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a hundred cuts, of which those succeed that `is_done` names; returns how many were tried, and how many at once.
    async fn tried(is_done: impl Fn(usize) -> bool) -> (usize, usize) {
        let (tried, under_way, most) = (AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0));
        let cuts = (0..100).map(|number| {
            let (is_done, tried, under_way, most) = (&is_done, &tried, &under_way, &most);
            async move {
                tried.fetch_add(1, Ordering::Relaxed);
                most.fetch_max(under_way.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                under_way.fetch_sub(1, Ordering::Relaxed);
                is_done(number)
            }
        });
        Failures::default().of(cuts).await;
        [tried, most].map(|count| count.into_inner() as usize).into()
    }

    #[tokio::test]
    async fn some_cuts_are_made_at_once_and_none_after_many_that_fail_in_a_row() {
        assert_eq!(
            tried(|number| number % 10 != 0).await,
            (100, CUTS),
            "one that fails keeps none back"
        );
        let (tried, most) = tried(|number| number < 10).await;
        assert!((30..60).contains(&tried) && most == CUTS, "{tried} {most}");
    }
}
