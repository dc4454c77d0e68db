//! Revocation: closes connections whose session, user or groups have changed, and ends subscriptions that their rule would now refuse.
//!
//! The answers are queried again, hundreds with a few statements, instead of watching the tables: these need no triggers, and any change
//! of an answer is detected, including the end of a session and a row that a rule's query reads.

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
use super::expiry::digest;
use super::registry::Grant;
use super::unanswered::chain;
use crate::access::{self, Access, Error, Who};

/// Between two checks: with the time of a check, and Centrifugo's, access is revoked within five seconds.
const PERIOD: Duration = Duration::from_secs(2);
/// Concurrent requests to Centrifugo that end connections or subscriptions, for each question about a channel.
const CUTS: usize = 8;
/// Consecutive questions without an answer, or failed requests to Centrifugo, after which a check stops: the database or Centrifugo is
/// unavailable.
const GIVE_UP: u32 = 20;

/// What is checked again.
#[derive(Clone, Copy, Debug)]
pub(super) enum Subject {
    /// Sessions, users and groups.
    Connections,
    /// Subscriptions that rules have allowed. A slow query delays only these.
    Subscriptions,
}

/// Checks all grants periodically until `shutdown`.
pub(super) async fn watch(web: Arc<Web>, subject: Subject, shutdown: CancellationToken) {
    let Some(server) = &web.backend else { return };
    let (mut failing, mut broken) = (false, BTreeSet::new());
    loop {
        tokio::select! {
            () = tokio::time::sleep(PERIOD) => {}
            () = shutdown.cancelled() => return,
        }
        let result = match subject {
            Subject::Connections => connections(&web, server).await,
            Subject::Subscriptions => subscriptions(&web, server, &mut broken).await,
        };
        match result {
            Ok(()) if failing => info!(?subject, "revocations are enforced again"),
            Err(ref error) if !failing => {
                warn!(?subject, error = %chain(error), "revocations cannot be enforced until the database answers");
            }
            _ => {}
        }
        failing = result.is_err();
    }
}

/// Closes the connections whose user or channels have changed, and those that have expired.
async fn connections(web: &Web, server: &Backend) -> Result<(), Error> {
    let access = web.revocation();
    let all = identified(web, &access).await?;
    let changed = all
        .iter()
        .filter(|(_, grant, who)| grant.is_over(access::now()) || !is_as_given(&access, grant, who));
    let cuts = changed.filter_map(|(key, grant, _)| Some(disconnect(web, server, key, grant, grant.client()?)));
    let failures = Failures::default();
    failures.run_all(cuts).await;
    if let Backend::Centrifugo(server) = server {
        tokens::cut(web, server, &access, &all, &failures).await;
    }
    Ok(())
}

/// Closes a connection; returns whether that succeeded.
async fn disconnect(web: &Web, server: &Backend, key: &str, grant: &Grant, client: &str) -> bool {
    if !server.disconnect(&grant.user, client).await {
        return false;
    }
    if grant.is_over(access::now()) {
        debug!(
            user = grant.user,
            "a connection was closed, so that its client subscribes again"
        );
    } else {
        info!(user = grant.user, "a connection was closed because its access has changed");
    }
    web.registry.remove(key);
    true
}

/// Ends a subscription; returns whether that succeeded.
async fn unsubscribe(web: &Web, server: &Backend, key: &str, grant: &Grant, channel: &str) -> bool {
    if !server.unsubscribe(&grant.user, grant.client(), channel).await {
        return false;
    }
    info!(
        user = grant.user,
        channel, "a subscription was ended because its rule no longer allows it"
    );
    web.registry.remove_subscription(key, channel);
    true
}

/// The consecutive failures of one check: a single one, even if it recurs, does not hold up the rest; many mean that a server is
/// unavailable.
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

    /// Whether the rest is left to the next check.
    fn are_many(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= GIVE_UP
    }

    /// Runs these requests, some at once, since each may take seconds while Centrifugo hangs.
    async fn run_all(&self, cuts: impl Iterator<Item = impl Future<Output = bool>>) {
        stream::iter(cuts)
            .for_each_concurrent(CUTS, |cut| async {
                if !self.are_many() {
                    self.note(cut.await);
                }
            })
            .await;
    }
}

/// Ends the subscriptions that their rule would now refuse. Each user is checked once per channel, however many connections subscribe. A
/// rule whose query fails is logged once and stays in `broken` until it works. One question without an answer does not hold up the
/// others; many in a row do.
async fn subscriptions(web: &Web, server: &Backend, broken: &mut BTreeSet<String>) -> Result<(), Error> {
    let access = web.revocation();
    let mut questions = BTreeMap::new();
    for (key, grant, who) in identified(web, &access).await? {
        if !is_as_given(&access, &grant, &who) {
            // The whole connection is closed.
            continue;
        }
        // These distinguish users and their targets.
        let own = access.channels(&who);
        for channel in &grant.subscriptions {
            let question = questions.entry((own.clone(), channel.clone())).or_insert_with(|| Question {
                who: who.clone(),
                channel: channel.clone(),
                subscriptions: Vec::new(),
            });
            question.subscriptions.push((key.clone(), Arc::clone(&grant)));
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
            warn!(
                error,
                "a rule's query fails; the subscriptions it has allowed stay until it works again"
            );
        }
    }
    let unanswered = unanswered.into_inner();
    unanswered.map_or(Ok(()), Err)
}

/// Whether a user may still subscribe to a channel, through however many connections.
struct Question {
    who: Who,
    channel: String,
    /// The subscribed connections, with their keys.
    subscriptions: Vec<(String, Arc<Grant>)>,
}

impl Question {
    /// Asks, and ends the subscriptions if the rule refuses.
    async fn ask(&self, web: &Web, server: &Backend, access: &Access, uncut: &Failures) -> Result<(), Error> {
        let Self {
            who,
            channel,
            subscriptions,
            ..
        } = self;
        if access.may_subscribe(who, channel).await? {
            return Ok(());
        }
        let cuts = subscriptions
            .iter()
            .map(|(key, grant)| unsubscribe(web, server, key, grant, channel));
        uncut.run_all(cuts).await;
        Ok(())
    }
}

/// All grants with the identities that their proofs have now.
async fn identified(web: &Web, access: &Access) -> Result<Vec<(String, Arc<Grant>, Who)>, Error> {
    let grants = web.registry.all(access::now());
    let proofs: Vec<_> = grants.iter().map(|(_, grant)| &grant.proof).collect();
    let who = access.identify_all(&proofs).await?;
    Ok(grants
        .into_iter()
        .zip(who)
        .map(|((key, grant), who)| (key, grant, who))
        .collect())
}

/// Whether the user is still the one of the answer, with the same channels.
fn is_as_given(access: &Access, grant: &Grant, who: &Who) -> bool {
    let same = |digest: &String| self::digest(&access.channels(who).unwrap_or_default()) == *digest;
    who.key() == grant.user && grant.digest.as_ref().is_none_or(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a hundred requests, which succeed where `is_done` says so; returns how many were tried, and how many at once.
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
        Failures::default().run_all(cuts).await;
        [tried, most].map(|count| count.into_inner() as usize).into()
    }

    #[tokio::test]
    async fn some_requests_are_made_at_once_and_none_after_many_that_fail_in_a_row() {
        assert_eq!(
            tried(|number| number % 10 != 0).await,
            (100, CUTS),
            "one that fails does not hold up the others"
        );
        let (tried, most) = tried(|number| number < 10).await;
        assert!((30..60).contains(&tried) && most == CUTS, "{tried} {most}");
    }
}
