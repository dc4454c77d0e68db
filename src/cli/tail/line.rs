//! What is printed of a change: a publication, a rule that failed, or nothing that came of it.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::mapping::Origin;

/// One line; as JSON it is one object.
#[derive(Debug, Serialize)]
pub(super) struct Line<'a> {
    pub(super) at: Timestamp,
    pub(super) change_id: i64,
    pub(super) model: &'a str,
    pub(super) op: &'static str,
    #[serde(flatten)]
    pub(super) end: End<'a>,
}

/// What became of the change.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum End<'a> {
    /// A rule sent it to a channel.
    Channel {
        rule: u32,
        channel: &'a str,
        event: &'a RawValue,
    },
    /// A rule failed on it.
    Failed { rule: u32, failed: &'a str },
    /// No rule sent it anywhere; why each did not.
    Nowhere { nowhere: Vec<(u32, &'static str)> },
}

/// What is shown of an event.
#[derive(Deserialize)]
struct Shown<'a> {
    #[serde(borrow)]
    event_class: Cow<'a, str>,
    /// The row's key; `None` if it covers no row, like a truncate or a message by hand.
    #[serde(borrow)]
    pk: Option<&'a RawValue>,
    /// How many changes it covers, if there are several.
    count: Option<u64>,
}

impl<'a> Line<'a> {
    pub(super) fn new(origin: &'a Origin, end: End<'a>) -> Self {
        Self {
            at: origin.at,
            change_id: origin.change_id,
            model: &origin.rule.model,
            op: origin.operation.name(),
            end,
        }
    }

    /// The human-readable form.
    pub(super) fn text(&self) -> String {
        let Self {
            at,
            change_id,
            model,
            op,
            end,
        } = self;
        let at = at.strftime("%H:%M:%S%.3f");
        match end {
            End::Channel { channel, event, .. } => {
                let shown: Option<Shown<'_>> = serde_json::from_str(event.get()).ok();
                let (class, key) = shown.map_or_else(Default::default, |shown| {
                    let key = match (shown.count, shown.pk) {
                        (Some(count), _) => format!("×{count} "),
                        (None, Some(pk)) => format!("{} ", pk.get()),
                        (None, None) => String::new(),
                    };
                    (shown.event_class, key)
                });
                format!("{at}  {model} {key}{op} → {channel}  \"{class}\"")
            }
            End::Failed { rule, failed } => format!("{at}  {model} {op} (change {change_id}) → parked: rule {rule}: {failed}"),
            End::Nowhere { nowhere } if nowhere.is_empty() => {
                format!("{at}  {model} {op} (change {change_id}) → nowhere: instant.toml does not watch it")
            }
            End::Nowhere { nowhere } => {
                let why: Vec<String> = nowhere.iter().map(|(rule, why)| format!("rule {rule}: {why}")).collect();
                format!("{at}  {model} {op} (change {change_id}) → nowhere: {}", why.join("; "))
            }
        }
    }
}
