//! The relay's side of the database: can it work, does it keep up, what was parked or lost.

use super::super::status::size;
use super::Findings;
use crate::config::Config;
use crate::outbox::{Error, Operator, Status};

/// The lag from which the relay does not keep up.
const LAG_SECONDS: f64 = 60.0;
/// The size from which the outbox is worth a look.
const OUTBOX_BYTES: i64 = 4 << 30;
/// The setting that defines how the database is reached.
const URL: &str = "[database] url";

/// Checks the outbox; false if there is no session to check with: through a pooler everything that follows fails in confusing ways.
pub(super) async fn look(config: &Config, findings: &mut Findings) -> bool {
    let operator = match Operator::connect(&config.database.url).await {
        Ok(operator) => operator,
        Err(Error::Pooler) => {
            findings.add(
                "pooler",
                "the URL leads to a connection pooler in transaction mode, where LISTEN and advisory locks do not hold",
                URL,
                "set `[database] url` to PostgreSQL's own host and port",
            );
            return false;
        }
        Err(error) => {
            findings.add(
                "database-unreachable",
                error.to_string(),
                URL,
                "start PostgreSQL, or fix `[database] url`",
            );
            return false;
        }
    };
    if let Err(Error::ForeignCursor { .. }) = operator.check_cluster().await {
        findings.add(
            "foreign-cursor",
            "the database was restored from another cluster, whose transactions mean nothing here",
            "instant.relay",
            "instant adopt, as the tables' owner",
        );
    }
    match operator.status().await {
        Ok(status) => judge(&status, findings),
        Err(Error::Schema(_)) => findings.add(
            "schema",
            "the schema `instant` is not the one that this version needs",
            "instant",
            "instant apply",
        ),
        Err(error) => findings.add(
            "outbox-unreadable",
            error.to_string(),
            "instant.outbox",
            "instant apply, as the tables' owner: it grants `[database] relay_role` what it lacks",
        ),
    }
    true
}

fn judge(status: &Status, findings: &mut Findings) {
    if status.leader.is_none() {
        findings.add(
            "no-leader",
            "no relay is running: nothing is published",
            "the leader's lock",
            "instant run",
        );
    }
    let backlog = &status.depth.backlog;
    if backlog.lag_seconds > LAG_SECONDS {
        findings.add(
            "lag",
            format!(
                "the oldest unpublished change is {:.0} s old; backlog: {}{} changes",
                backlog.lag_seconds,
                if backlog.more { "more than " } else { "" },
                backlog.changes
            ),
            "instant.outbox",
            "check the log of `instant run`: it shows what it waits for",
        );
    }
    if status.depth.outbox.bytes > OUTBOX_BYTES {
        findings.add(
            "outbox-large",
            format!("the outbox takes up {}", size(status.depth.outbox.bytes)),
            "instant.outbox",
            "lower `[outbox] retention`; vacuum instant.outbox gives the space back to new changes",
        );
    }
    if status.depth.dead_letters > 0 {
        findings.add(
            "dead-letters",
            format!("{} publications were parked", status.depth.dead_letters),
            "instant.dead_letter",
            "instant dead list; instant dead retry --all",
        );
    }
    if status.depth.lost.counted > 0 {
        let told = if status.depth.lost.told >= status.depth.lost.counted {
            "subscribers were notified to reload"
        } else {
            "subscribers are not notified yet"
        };
        findings.add(
            "lost",
            format!(
                "{} changes were lost so that writes could continue; {told}",
                status.depth.lost.counted
            ),
            "instant.lost",
            "look for `instant:` warnings in PostgreSQL's log, and for warnings of `instant run`; then: alter sequence instant.lost restart",
        );
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::outbox::{Backlog, Depth, LeaderSession, Losses, OutboxSize};

    #[test]
    fn an_outbox_that_has_grown_large_is_told() {
        // A test should not fill a disk.
        let codes = |bytes: i64| {
            let mut findings = Findings::default();
            let status = Status {
                leader: Some(LeaderSession {
                    pid: 1,
                    since: None,
                    address: None,
                    cursor_at: jiff::Timestamp::UNIX_EPOCH,
                }),
                depth: Depth {
                    backlog: Backlog {
                        changes: 0,
                        more: false,
                        lag_seconds: 0.0,
                    },
                    outbox: OutboxSize { bytes, changes: None },
                    dead_letters: 0,
                    lost: Losses { counted: 0, told: 0 },
                },
                changes_per_second: 0.0,
                last_changes: BTreeMap::new(),
            };
            judge(&status, &mut findings);
            findings.items.iter().map(|finding| finding.code).collect::<Vec<_>>()
        };
        assert!(codes(OUTBOX_BYTES).is_empty());
        assert_eq!(codes(OUTBOX_BYTES + 1), ["outbox-large"]);
    }
}
