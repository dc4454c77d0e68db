//! Redelivery of dead letters.

use std::sync::Arc;

use super::RelatedLoader;
use crate::mapping::{Mapping, Origin, Publication, RelatedRows, RuleName};
use crate::outbox::{DeadLetter, Error, LetterFilter, LetterPlace, Operator, Refusal, StoredLetter};
use crate::publisher::{BatchError, Publisher, Reply, deliver};

/// The outcome of a redelivery.
#[derive(Debug, Default)]
pub struct Redelivery {
    /// Letters that were taken, and deleted.
    pub sent: usize,
    /// Letters that were deleted, since today's rules publish nothing for their changes. None is deleted unless the server answers.
    pub obsolete: usize,
    /// Letters that were refused again; they remain, with the new reason.
    pub refused: usize,
    /// Why the remaining letters were not tried, if any.
    pub interrupted: Option<BatchError>,
}

/// What to do with a letter.
enum Attempt {
    Send(Publication),
    /// Today's rules publish nothing for its change.
    Nothing,
    Refused(String),
}

/// Sends the letters that match `filter` again, those of older changes first, under the same idempotency keys. Letters whose rule failed
/// are mapped with `rules`, which is awaited only if there are any.
///
/// # Errors
/// When `rules` fails, and when PostgreSQL refuses or does not answer. A letter that was sent but not deleted is suppressed by its key
/// if it is soon retried.
pub async fn redeliver<E: From<Error>>(
    operator: &Operator,
    publisher: &impl Publisher,
    filter: &LetterFilter,
    related: &mut RelatedLoader,
    rules: impl Future<Output = Result<Arc<Mapping>, E>>,
) -> Result<Redelivery, E> {
    let mut redelivery = Redelivery::default();
    let mut rules = Some(rules);
    let (mut known, mut after) = (None, LetterPlace::default());
    loop {
        let page = operator.letters_by_change(filter, after).await?;
        let Some(last) = page.last() else {
            return Ok(redelivery);
        };
        after = last.place();
        if page.iter().any(|stored| stored.letter.event.is_none())
            && let Some(rules) = rules.take()
        {
            known = Some(rules.await?);
        }
        if let Some(rules) = &known {
            let failed = page.iter().filter(|stored| stored.letter.event.is_none());
            let changes: Vec<_> = failed.filter_map(StoredLetter::change).collect();
            related.prepare(rules, &changes).await?;
        }
        let mut sorted = Sorted::new(page, known.as_deref(), related.rows());
        let (replies, interrupted) = send(publisher, &sorted.publications).await;
        if interrupted.is_some() && replies.is_empty() {
            // A server that answers nothing may be the wrong one, with other rules. The page stays as it is.
            redelivery.interrupted = interrupted;
            return Ok(redelivery);
        }
        redelivery.obsolete += sorted.taken.len();
        for (id, reply) in sorted.ids.into_iter().zip(replies) {
            match reply {
                Ok(()) => {
                    redelivery.sent += 1;
                    sorted.taken.push(id);
                }
                Err(rejection) => sorted.refusals.push(Refusal {
                    id,
                    code: Some(rejection.stored_code()),
                    reason: rejection.message,
                }),
            }
        }
        redelivery.refused += sorted.refusals.len();
        operator.settle_letters(&sorted.taken, &sorted.refusals).await?;
        if interrupted.is_some() {
            redelivery.interrupted = interrupted;
            return Ok(redelivery);
        }
    }
}

/// A page of letters, sorted by what to do with them.
#[derive(Default)]
struct Sorted {
    /// The letters whose publications are to be sent.
    ids: Vec<i64>,
    publications: Vec<Publication>,
    /// The letters to be deleted.
    taken: Vec<i64>,
    refusals: Vec<Refusal>,
}

impl Sorted {
    fn new(page: Vec<StoredLetter>, rules: Option<&Mapping>, related: &dyn RelatedRows) -> Self {
        let mut sorted = Self::default();
        for stored in page {
            match attempt(&stored, rules, related) {
                Attempt::Send(publication) => {
                    sorted.ids.push(stored.id);
                    sorted.publications.push(publication);
                }
                Attempt::Nothing => sorted.taken.push(stored.id),
                Attempt::Refused(reason) => sorted.refusals.push(Refusal {
                    id: stored.id,
                    reason,
                    code: None,
                }),
            }
        }
        sorted
    }
}

/// Sends publications until each has a reply or a request fails. Without any, an empty request is still sent: a server that does not
/// lead, or is unavailable, would have taken nothing, and then nothing may be deleted either.
async fn send(publisher: &impl Publisher, publications: &[Publication]) -> (Vec<Reply>, Option<BatchError>) {
    let publications: Vec<_> = publications.iter().collect();
    if publications.is_empty() {
        return (Vec::new(), publisher.publish(&publications).await.err());
    }
    let mut replies = Vec::with_capacity(publications.len());
    loop {
        let delivery = deliver(publisher, &publications[replies.len()..]).await;
        replies.extend(delivery.replies);
        if delivery.interrupted.is_some() || replies.len() == publications.len() {
            return (replies, delivery.interrupted);
        }
    }
}

/// Decides what to do with a letter: send its event as it was, or map its change with today's rule.
fn attempt(stored: &StoredLetter, rules: Option<&Mapping>, related: &dyn RelatedRows) -> Attempt {
    let letter = &stored.letter;
    let Some(change) = stored.change() else {
        return Attempt::Refused("it was parked by a newer version".to_owned());
    };
    let number = u32::try_from(letter.rule).unwrap_or_default();
    let left = Origin::is_departure(&letter.key);
    if let (Some(event), Some(channel)) = (&letter.event, letter.original_channel()) {
        return Attempt::Send(Publication {
            origin: Origin {
                change_id: change.id,
                at: change.at,
                operation: change.operation,
                rule: Arc::new(name(letter, number)),
                left,
            },
            channel: channel.into(),
            event: event.clone().into_bytes(),
            key: Some(letter.key.as_str().into()),
            member: None,
        });
    }
    match rules.map(|rules| rules.map_by(number, left, &change, related)) {
        Some(Ok(Some(mut publication))) => {
            publication.key = Some(letter.key.as_str().into());
            Attempt::Send(publication)
        }
        Some(Ok(None)) => Attempt::Nothing,
        Some(Err(reason)) => Attempt::Refused(reason),
        None => Attempt::Refused(letter.reason.clone()),
    }
}

fn name(letter: &DeadLetter, number: u32) -> RuleName {
    RuleName {
        source: letter.source.clone(),
        model: letter.model.clone(),
        number,
    }
}
