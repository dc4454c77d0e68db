//! `instant tail`: changes as they are committed, and where they go.

mod line;

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::{Context, exit, model};
use crate::capture::watch::Watch;
use crate::change::Change;
use crate::config::Config;
use crate::mapping::{Collapse, Mapping, Outcome};
use crate::outbox::{ChangeRow, Operator, Reader};
use crate::relay::RelatedLoader;
use line::{End, Line};

/// Between two reads of the outbox.
const PAUSE: Duration = Duration::from_millis(200);

/// Show changes as they are committed, and where they go.
///
/// Prints the channels that the rules send each change to, or why it goes nowhere. Reads the outbox by itself, next to any relay, and
/// publishes nothing; what Centrifugo refuses is in `instant dead list`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  instant tail\n  instant tail --model shop.Order --json | jq .channel")]
pub(super) struct Args {
    #[command(flatten)]
    filter: Filter,
}

/// What is shown, and how.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Filter {
    /// Show only changes of this model; may be repeated.
    #[arg(long, value_name = "APP.MODEL")]
    model: Vec<String>,
    /// Show only what goes to this channel; may be repeated.
    #[arg(long, value_name = "CHANNEL")]
    channel: Vec<String>,
    /// Print one JSON object per line, with the whole event.
    #[arg(long)]
    json: bool,
}

impl Filter {
    /// Whether it names a model that is not watched, which is reported.
    pub(super) fn names_unknown(&self, watches: &[Watch]) -> std::io::Result<bool> {
        model::any_unknown(&self.model, watches)
    }
}

pub(super) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let config = context.load()?;
    let (watches, mapping) = context.rules(&config).await?;
    if args.filter.names_unknown(&watches)? {
        return Ok(ExitCode::from(exit::USAGE));
    }
    let (_unchanging, rules) = watch::channel(Rules::new(&watches, mapping));
    let tail = Tail::open(&config, args.filter, rules).await?;
    writeln!(anstream::stderr(), "waiting for changes; press Ctrl-C to stop")?;
    tokio::select! {
        ended = tail.follow() => ended?,
        _ = tokio::signal::ctrl_c() => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// What a tail maps changes with.
#[derive(Debug)]
pub(super) struct Rules {
    /// The model of each watch, by its name in the outbox.
    models: BTreeMap<String, String>,
    mapping: Arc<Mapping>,
}

impl Rules {
    pub(super) fn new(watches: &[Watch], mapping: Arc<Mapping>) -> Arc<Self> {
        let names = watches.iter();
        let models = names.map(|watch| (watch.source.clone(), watch.model.clone())).collect();
        Arc::new(Self { models, mapping })
    }
}

/// Follows the outbox, and prints.
pub(super) struct Tail {
    reader: Reader,
    printer: Printer,
    rules: watch::Receiver<Arc<Rules>>,
}

impl Tail {
    /// Starts with what is committed from now on. New rules apply from the next page on.
    pub(super) async fn open(config: &Config, filter: Filter, rules: watch::Receiver<Arc<Rules>>) -> anyhow::Result<Self> {
        let position = Operator::connect(&config.database.url).await?.here().await?;
        let now = Arc::clone(&rules.borrow());
        Ok(Self {
            reader: Reader::open(&config.database.url, position).await?,
            printer: Printer {
                filter,
                related: RelatedLoader::new(config.database.url.clone(), config.related_ttl),
                outcomes: Vec::new(),
                collapse: Collapse::default(),
                rules: now,
            },
            rules,
        })
    }

    /// Prints until it fails.
    pub(super) async fn follow(mut self) -> anyhow::Result<()> {
        loop {
            self.printer.rules = Arc::clone(&self.rules.borrow_and_update());
            if self.page().await? {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Prints a page; returns whether its window ended with it.
    async fn page(&mut self) -> anyhow::Result<bool> {
        let Self { reader, printer, .. } = self;
        let mut page = reader.page().await?;
        let (mut last, mut goes_on) = (None, true);
        while goes_on {
            let (rows, more) = printer.related.gather(&mut page).await?;
            goes_on = more;
            let batch = rows.iter().map(ChangeRow::change).collect::<Result<Vec<_>, _>>()?;
            printer.related.prepare(&printer.rules.mapping, &batch).await?;
            for (row, change) in rows.iter().zip(&batch) {
                printer.show(row, change)?;
            }
            last = batch.last().map(|change| change.id).or(last);
        }
        let has_ended = page.end(last).await?.is_some();
        if has_ended {
            printer.end()?;
        }
        Ok(has_ended)
    }
}

/// Maps changes, and prints the results.
struct Printer {
    filter: Filter,
    rules: Arc<Rules>,
    related: RelatedLoader,
    outcomes: Vec<Outcome>,
    /// What may become one publication with others of its transaction.
    collapse: Collapse,
}

impl Printer {
    fn show(&mut self, row: &ChangeRow, change: &Change<'_>) -> anyhow::Result<()> {
        let model = self.rules.models.get(change.source).map_or(change.source, String::as_str);
        if !self.filter.model.is_empty() && !self.filter.model.iter().any(|wanted| wanted == model) {
            return Ok(());
        }
        self.rules.mapping.map(change, self.related.rows(), &mut self.outcomes);
        if self.outcomes.is_empty() {
            let nowhere = self.rules.mapping.silent(change, self.related.rows());
            return self.print(&Line {
                at: change.at,
                change_id: change.id,
                model,
                op: change.operation.name(),
                end: End::Nowhere { nowhere },
            });
        }
        self.collapse
            .take(&self.rules.mapping, row.transaction()?, &mut self.outcomes, 0);
        self.print_outcomes()
    }

    /// Prints what waited for the window's end.
    fn end(&mut self) -> anyhow::Result<()> {
        self.collapse.release(&mut self.outcomes);
        self.print_outcomes()
    }

    fn print_outcomes(&mut self) -> anyhow::Result<()> {
        for outcome in std::mem::take(&mut self.outcomes) {
            match &outcome {
                Ok(publication) => {
                    let end = End::Channel {
                        rule: publication.origin.rule.number,
                        channel: &publication.channel,
                        event: serde_json::from_slice(&publication.event)?,
                    };
                    self.print(&Line::new(&publication.origin, end))?;
                }
                Err(failure) => {
                    let end = End::Failed {
                        rule: failure.origin.rule.number,
                        failed: &failure.reason,
                    };
                    self.print(&Line::new(&failure.origin, end))?;
                }
            }
        }
        Ok(())
    }

    fn print(&self, line: &Line<'_>) -> anyhow::Result<()> {
        let channel = match line.end {
            End::Channel { channel, .. } => Some(channel),
            _ => None,
        };
        let wanted = &self.filter.channel;
        if !wanted.is_empty() && !channel.is_some_and(|channel| wanted.iter().any(|name| name == channel)) {
            return Ok(());
        }
        let text = if self.filter.json {
            serde_json::to_string(line)?
        } else {
            line.text()
        };
        Ok(writeln!(anstream::stdout().lock(), "{text}")?)
    }
}
