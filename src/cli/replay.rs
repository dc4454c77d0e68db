//! `instant replay`: resends the changes that the outbox still holds.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;

use super::moment::Moment;
use super::{Context, exit, model};
use crate::mapping::{Collapse, Outcome, Publication};
use crate::outbox::{ChangeRow, Operator, Span};
use crate::publisher::{Publisher, deliver};
use crate::relay::RelatedLoader;

/// The publications of a request …
const BATCH: usize = 200;
/// … and the bytes of it.
const BATCH_BYTES: usize = 1 << 20;
/// The waits between attempts while the server cannot be reached; then the command stops and reports how far it got.
const WAITS: [Duration; 5] = [
    Duration::from_millis(250),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(5),
    Duration::from_secs(10),
];
/// How many reasons are printed; a rule that fails may fail on every row.
const REASONS: u64 = 10;

/// Resend the changes that the outbox still holds.
///
/// Only settled changes, mapped with the current rules. Subscribers receive them again, under the same event ids.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  instant replay --since 15m --model shop.Order\n  \
                        instant replay --since 2026-11-24T12:00:00Z --until 2026-11-24T12:30:00Z")]
pub(super) struct Args {
    /// From this moment on: an age (90s, 24h) or a time (2026-11-24T12:00:00Z).
    #[arg(long, value_name = "MOMENT")]
    since: Moment,
    /// Up to this moment [default: now].
    #[arg(long, value_name = "MOMENT")]
    until: Option<Moment>,
    /// Only changes of this model; may be repeated.
    #[arg(long, value_name = "MODEL")]
    model: Vec<String>,
}

/// What has been sent so far.
struct Progress<'a, P> {
    publisher: &'a P,
    /// What makes this replay's keys different from those that the server may have cached.
    run: String,
    batch: Vec<Publication>,
    bytes: usize,
    sent: u64,
    refused: u64,
    /// When the last change that was sent was written.
    reached: Timestamp,
}

pub(super) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let config = context.load()?;
    let publisher = super::publisher(&config)?;
    let (watches, rules) = context.rules(&config).await?;
    if model::any_unknown(&args.model, &watches)? {
        return Ok(ExitCode::from(exit::USAGE));
    }
    let chosen = watches.iter().filter(|watch| args.model.contains(&watch.model));
    let span = Span {
        since: args.since.0,
        until: args.until.map_or_else(Timestamp::now, |moment| moment.0),
        sources: (!args.model.is_empty()).then(|| chosen.map(|watch| watch.source.clone()).collect()),
    };
    let mut related = RelatedLoader::new(config.database.url.clone(), config.related_ttl);
    let operator = Operator::connect(&config.database.url).await?;
    let mut replay = operator.replay(&span).await?;
    let mut progress = Progress {
        publisher: &publisher,
        run: format!("{:x}", Timestamp::now().as_microsecond()),
        batch: Vec::new(),
        bytes: 0,
        sent: 0,
        refused: 0,
        reached: span.since,
    };
    let (mut changes, mut outcomes, mut collapse) = (0_u64, Vec::new(), Collapse::default());
    let mut goes_on = true;
    while goes_on {
        let (rows, more) = related.gather(&mut replay).await?;
        goes_on = more;
        let batch = rows.iter().map(ChangeRow::change).collect::<Result<Vec<_>, _>>()?;
        related.prepare(&rules, &batch).await?;
        for (row, change) in rows.iter().zip(&batch) {
            rules.map(change, related.rows(), &mut outcomes);
            collapse.take(&rules, row.transaction()?, &mut outcomes, 0);
            for outcome in outcomes.drain(..) {
                progress.take(outcome)?;
            }
            changes += 1;
            if progress.is_full() {
                progress.send().await?;
                progress.reached = collapse.earliest().map_or(change.at, |(_, at)| at.min(change.at));
            }
        }
    }
    collapse.release(&mut outcomes);
    for outcome in outcomes {
        progress.take(outcome)?;
        if progress.is_full() {
            progress.send().await?;
        }
    }
    progress.send().await?;
    let Progress { sent, refused, .. } = progress;
    writeln!(anstream::stdout(), "changes: {changes}, sent: {sent}, refused: {refused}")?;
    Ok(ExitCode::from(if refused == 0 { 0 } else { exit::FAILED }))
}

impl<P: Publisher> Progress<'_, P> {
    const fn is_full(&self) -> bool {
        self.batch.len() >= BATCH || self.bytes >= BATCH_BYTES
    }

    fn take(&mut self, outcome: Outcome) -> std::io::Result<()> {
        match outcome {
            Ok(mut publication) => {
                let key = publication.idempotency_key();
                publication.key = Some(format!("{key}-replay-{}", self.run).into());
                self.bytes += publication.event.len();
                self.batch.push(publication);
                Ok(())
            }
            Err(failure) => {
                let rule = &failure.origin.rule;
                self.refuse(&format!(
                    "{}/{} on change {}: {}",
                    rule.model, rule.number, failure.origin.change_id, failure.reason
                ))
            }
        }
    }

    /// Sends the batch, again and again for a while if the server cannot be reached.
    async fn send(&mut self) -> anyhow::Result<()> {
        let batch = std::mem::take(&mut self.batch);
        self.bytes = 0;
        let mut rest: Vec<&Publication> = batch.iter().collect();
        let mut waits = WAITS.iter();
        loop {
            let delivery = deliver(self.publisher, &rest).await;
            let answered = delivery.replies.len();
            for (publication, reply) in rest.iter().zip(delivery.replies) {
                match reply {
                    Ok(()) => self.sent += 1,
                    Err(rejection) => {
                        let rule = &publication.origin.rule;
                        self.refuse(&format!(
                            "{}/{} to {}: {rejection}",
                            rule.model, rule.number, publication.channel
                        ))?;
                    }
                }
            }
            rest.drain(..answered);
            if rest.is_empty() {
                return Ok(());
            }
            let Some(interrupted) = delivery.interrupted else {
                continue;
            };
            let Some(wait) = waits.next() else {
                return Err(anyhow::anyhow!(interrupted.with_hint())).with_context(|| {
                    format!(
                        "sent: {}; continue with `instant replay --since {}`, which may repeat some",
                        self.sent, self.reached
                    )
                });
            };
            tokio::time::sleep(*wait).await;
        }
    }

    fn refuse(&mut self, reason: &str) -> std::io::Result<()> {
        self.refused += 1;
        match self.refused {
            1..=REASONS => writeln!(anstream::stderr(), "refused: {reason}"),
            more if more == REASONS + 1 => writeln!(anstream::stderr(), "refused: … further ones are only counted"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publisher::{BatchError, Rejection, Reply};

    /// A publisher that accepts up to two publications per request, and fails on the first change.
    struct Narrow;

    impl Publisher for Narrow {
        async fn publish(&self, publications: &[&Publication]) -> Result<Vec<Reply>, BatchError> {
            if publications.len() > 2 {
                return Err(BatchError::Refused("too large".to_owned()));
            }
            let reply = |publication: &&Publication| match publication.origin.change_id {
                1 => Err(Rejection {
                    code: 100,
                    message: "internal error".to_owned(),
                }),
                _ => Ok(()),
            };
            Ok(publications.iter().map(reply).collect())
        }
    }

    #[tokio::test]
    async fn a_refusal_in_a_halved_request_keeps_nothing_behind_it_from_being_sent() {
        let mut progress = Progress {
            publisher: &Narrow,
            run: "1".to_owned(),
            batch: (1..=4).map(|change_id| Publication::example(change_id, "public")).collect(),
            bytes: 0,
            sent: 0,
            refused: 0,
            reached: Timestamp::UNIX_EPOCH,
        };
        progress.send().await.unwrap();
        assert_eq!((progress.sent, progress.refused), (3, 1));
    }
}
