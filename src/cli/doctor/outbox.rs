//! The relay's side of the database: can it work, does it keep up, what was parked or lost.

use super::Findings;
use crate::cli::status::size;
use crate::config::Config;
use crate::outbox::{Error, Operator, Status};

/// The lag from which the relay does not keep up.
const LAG_SECONDS: f64 = 60.0;
/// The size from which the outbox is worth a look.
const OUTBOX_BYTES: i64 = 4 << 30;
/// The setting that defines how the database is reached.
const URL: &str = "[database] url";
/// The fix for a schema that was restored without its rows.
pub(super) const BEGIN_ANEW: &str = "instant remove; instant apply, as the tables' owner";

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
    match operator.check_cluster().await {
        Err(Error::ForeignCursor { .. }) => findings.add(
            "foreign-cursor",
            "the database was restored from another cluster, whose transactions mean nothing here",
            "instant.relay",
            "instant adopt, as the tables' owner",
        ),
        Err(error @ Error::NoCursor) => {
            findings.add("schema", error.to_string(), "instant.relay", BEGIN_ANEW);
            return true;
        }
        _ => {}
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
        // What is not settled stays, however short the retention is.
        let changes = status.depth.outbox.changes;
        let is_backlog = backlog.more || changes.is_some_and(|changes| backlog.changes * 2 > changes);
        findings.add(
            "outbox-large",
            format!(
                "the outbox takes up {}; of {} changes {}{} are not settled",
                size(status.depth.outbox.bytes),
                changes.map_or_else(|| "its".to_owned(), |changes| format!("about {changes}")),
                if backlog.more { "more than " } else { "" },
                backlog.changes
            ),
            "instant.outbox",
            if is_backlog {
                "let the relay catch up: its log says what it waits for; or give the backlog up, as docs/operations.md says"
            } else {
                "lower `[outbox] retention`; vacuum instant.outbox gives the space back to new changes"
            },
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

    /// What is found where all is well but for this outbox. A test should not fill a disk.
    fn found(bytes: i64, changes: Option<i64>, backlog: Backlog) -> Vec<(&'static str, String, String)> {
        let mut findings = Findings::default();
        let status = Status {
            leader: Some(LeaderSession {
                pid: 1,
                since: None,
                address: None,
                cursor_at: jiff::Timestamp::UNIX_EPOCH,
            }),
            depth: Depth {
                backlog,
                outbox: OutboxSize { bytes, changes },
                dead_letters: 0,
                lost: Losses { counted: 0, told: 0 },
            },
            changes_per_second: 0.0,
            last_changes: BTreeMap::new(),
        };
        judge(&status, &mut findings);
        let items = findings.items.into_iter();
        items.map(|finding| (finding.code, finding.what, finding.fix)).collect()
    }

    const fn backlog(changes: i64, more: bool) -> Backlog {
        Backlog {
            changes,
            more,
            lag_seconds: 0.0,
        }
    }

    #[test]
    fn an_outbox_that_has_grown_large_is_told() {
        assert!(found(OUTBOX_BYTES, None, backlog(0, false)).is_empty());
        let found = found(OUTBOX_BYTES + 1, None, backlog(0, false));
        assert_eq!(found.iter().map(|found| found.0).collect::<Vec<_>>(), ["outbox-large"]);
    }

    #[test]
    fn a_shorter_retention_is_advised_only_where_most_of_a_large_outbox_is_settled() {
        for (changes, waiting, is_settled, told) in [
            (
                Some(640_000),
                backlog(12, false),
                true,
                "of about 640000 changes 12 are not settled",
            ),
            (None, backlog(12, false), true, "of its changes 12 are not settled"),
            (
                Some(500),
                backlog(400, false),
                false,
                "of about 500 changes 400 are not settled",
            ),
            (
                None,
                backlog(100_000, true),
                false,
                "of its changes more than 100000 are not settled",
            ),
        ] {
            let (_, what, fix) = found(OUTBOX_BYTES + 1, changes, waiting).remove(0);
            assert!(what.ends_with(told), "{what}");
            assert_eq!(fix.contains("retention"), is_settled, "{fix}");
            assert_eq!(fix.contains("give the backlog up"), !is_settled, "{fix}");
        }
    }
}
