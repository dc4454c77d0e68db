//! `instant dead retry`.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use super::super::{Context, exit, publisher};
use super::filter::Selection;
use crate::config::Config;
use crate::mapping::{Mapping, Origin, Publication, Rows, RuleName};
use crate::outbox::{DeadLetter, Operator, Refusal, StoredLetter};
use crate::publisher::deliver;
use crate::relay::Related;

/// Send dead letters again, the oldest first, under the same idempotency keys. What is taken is deleted; what is refused again
/// stays with its new reason. A letter whose rule failed is mapped again with today's rules.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  instant dead retry --reason 'unknown channel'")]
pub(super) struct Args {
    #[command(flatten)]
    selection: Selection,
}

/// What a letter comes to before it is sent.
enum Attempt {
    Send(Publication),
    /// Today's rules make nothing of its change.
    Nothing,
    Refused(String),
}

pub(super) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let Some(filter) = args.selection.filter()? else {
        return Ok(ExitCode::from(exit::USAGE));
    };
    let config = context.load()?;
    let publisher = publisher(&config)?;
    let operator = Operator::connect(&config.database.url).await?;
    let mut rules = None;
    let mut related = Related::new(config.database.url.clone(), config.related_ttl);
    let (mut after, mut sent, mut obsolete, mut refused) = (0, 0, 0, 0);
    loop {
        let page = operator.letters(&filter, after, true).await?;
        let Some(last) = page.last() else { break };
        after = last.id;
        if rules.is_none() && page.iter().any(|stored| stored.letter.event.is_none()) {
            rules = Some(Arc::new(todays_rules(context, &config).await?));
        }
        if let Some(rules) = &rules {
            let failed = page.iter().filter(|stored| stored.letter.event.is_none());
            let changes: Vec<_> = failed.filter_map(StoredLetter::change).collect();
            related.prepare(rules, &changes).await?;
        }
        let (mut ids, mut publications, mut taken, mut refusals) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for stored in page {
            match attempt(&stored, rules.as_deref(), related.rows()) {
                Attempt::Send(publication) => {
                    ids.push(stored.id);
                    publications.push(publication);
                }
                Attempt::Nothing => taken.push(stored.id),
                Attempt::Refused(reason) => refusals.push(Refusal {
                    id: stored.id,
                    reason,
                    code: None,
                }),
            }
        }
        obsolete += taken.len();
        let delivery = deliver(&publisher, &publications.iter().collect::<Vec<_>>()).await;
        for (id, reply) in ids.into_iter().zip(delivery.replies) {
            match reply {
                Ok(()) => {
                    sent += 1;
                    taken.push(id);
                }
                Err(rejection) => refusals.push(Refusal {
                    id,
                    code: Some(rejection.code),
                    reason: rejection.message,
                }),
            }
        }
        refused += refusals.len();
        operator.settle_letters(&taken, &refusals).await?;
        if let Some(interrupted) = delivery.interrupted {
            let hint = interrupted.hint().map_or_else(String::new, |hint| format!(" ({hint})"));
            anyhow::bail!("{interrupted}{hint}; sent before: {sent}, the others wait for another `instant dead retry`");
        }
    }
    writeln!(
        anstream::stdout(),
        "sent: {sent}, needed no more: {obsolete}, refused again: {refused}"
    )?;
    Ok(if refused == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(exit::FAILED)
    })
}

/// What a letter comes to: its event as it was, or its change under today's rule.
fn attempt(stored: &StoredLetter, rules: Option<&Mapping>, related: &dyn Rows) -> Attempt {
    let letter = &stored.letter;
    let Some(change) = stored.change() else {
        return Attempt::Refused("it was parked by a newer version".to_owned());
    };
    let number = u32::try_from(letter.rule).unwrap_or_default();
    let left = Origin::is_departure(&letter.key);
    if let (Some(event), Some(channel)) = (&letter.event, &letter.channel) {
        return Attempt::Send(Publication {
            origin: Origin {
                change_id: change.id,
                at: change.at,
                operation: change.operation,
                rule: Arc::new(name(letter, number)),
                left,
            },
            channel: channel.as_str().into(),
            event: event.clone().into_bytes(),
            key: Some(letter.key.as_str().into()),
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

/// The rules of the file as it is now.
async fn todays_rules(context: &Context, config: &Config) -> anyhow::Result<Mapping> {
    let pool = context.pool(config).await?;
    let watches = context.resolve(&pool, config).await?;
    pool.close().await;
    Ok(Mapping::compile(&watches, config.site.as_deref(), &config.prefix)?)
}
