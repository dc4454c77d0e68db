//! Triggers, roles and sessions.

use std::time::Duration;

use jiff::Timestamp;

use super::outbox::BEGIN_ANEW;
use super::{Context, Findings};
use crate::capture::watch::Watch;
use crate::capture::{self, Health};
use crate::cli::age;
use crate::config::Config;

/// The share of the notify queue from which some listener counts as stuck; from half on the triggers no longer notify.
const QUEUE_SHARE: f64 = 0.25;
/// A difference of clocks that shows in lags and times; HTTP dates are whole seconds.
pub(super) const CLOCK_DIFFERENCE: i64 = 3;

/// Checks the database; returns the watches whose names are found.
pub(super) async fn look(
    context: &Context,
    config: &Config,
    old: Duration,
    findings: &mut Findings,
) -> anyhow::Result<Vec<Watch>> {
    let pool = match context.pool(config).await {
        Ok(pool) => pool,
        Err(error) => {
            findings.add(
                "database-unreachable",
                format!("{error:#}"),
                "[database] url",
                "fix `[database] url`",
            );
            return Ok(Vec::new());
        }
    };
    judge(&capture::health(&pool, old).await?, findings);
    let resolved = capture::resolve(&pool, config).await?;
    if resolved.diagnostics.has_errors() {
        findings.add(
            "configuration",
            "instant.toml names what the database does not have",
            config.source.path.display().to_string(),
            "instant check --db",
        );
        return Ok(resolved.watches);
    }
    match capture::plan(&pool, config, &resolved.watches).await {
        Ok(plan) => {
            let (paused, drift) = plan.split_paused();
            for step in paused.steps {
                findings.add("paused", "capture is paused", step.action, "instant resume");
            }
            for step in drift.steps {
                let what = format!("the database is not as instant.toml wants it: {}", step.reason);
                findings.add("drift", what, step.action, "instant apply");
            }
        }
        Err(error @ capture::Error::NoRole(_)) => findings.add(
            "relay-role",
            error.to_string(),
            "[database] relay_role",
            "create role NAME login; instant apply",
        ),
        Err(error @ capture::Error::WithoutRows) => findings.add("schema", error.to_string(), "instant", BEGIN_ANEW),
        Err(error) => findings.add("drift", error.to_string(), "instant", "instant plan"),
    }
    Ok(resolved.watches)
}

fn judge(health: &Health, findings: &mut Findings) {
    for setting in &health.without_triggers {
        findings.add(
            "replication-role",
            "session_replication_role is `replica`: no trigger fires, and changes are not captured",
            &setting.place,
            &setting.fix,
        );
    }
    let ago = |seconds: f64| age::of(Duration::try_from_secs_f64(seconds).unwrap_or_default());
    for session in &health.old_snapshots {
        findings.add(
            "old-snapshot",
            format!(
                "a transaction has been open for {} ({}): vacuum cleans up nothing that is newer",
                ago(session.age),
                session.state
            ),
            format!("process {} ({})", session.pid, session.application),
            format!("select pg_terminate_backend({})", session.pid),
        );
    }
    for prepared in &health.prepared {
        findings.add(
            "prepared-transaction",
            format!(
                "a transaction has been prepared for {} and has not ended: its changes wait, and so does vacuum",
                ago(prepared.age)
            ),
            &prepared.name,
            format!("commit prepared {0}, or: rollback prepared {0}", prepared.name),
        );
    }
    if health.notify_queue > QUEUE_SHARE {
        findings.add(
            "notify-queue",
            format!(
                "the notification queue is {:.0} % full: some listener stays in a transaction",
                health.notify_queue * 100.0
            ),
            "pg_notification_queue_usage()",
            "end the oldest transaction of a session that listens: select pid, xact_start from pg_stat_activity order by 2",
        );
    }
    let difference = health.clock.duration_since(Timestamp::now()).as_secs();
    if difference.abs() > CLOCK_DIFFERENCE {
        findings.add(
            "clock",
            format!("PostgreSQL's clock differs from this machine's by {difference} s"),
            "PostgreSQL",
            "timedatectl set-ntp true, on both machines",
        );
    }
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;

    use super::*;

    #[test]
    fn a_clock_that_is_wrong_is_told_and_one_that_is_nearly_right_is_not() {
        // A machine's clock cannot be set only for PostgreSQL.
        let found = |seconds: i64| {
            let mut findings = Findings::default();
            let health = Health {
                without_triggers: Vec::new(),
                old_snapshots: Vec::new(),
                prepared: Vec::new(),
                notify_queue: 0.0,
                clock: Timestamp::now() + seconds.seconds(),
            };
            judge(&health, &mut findings);
            findings.items.pop()
        };
        assert!(found(CLOCK_DIFFERENCE - 1).is_none());
        for seconds in [-3600, 3600] {
            let finding = found(seconds).unwrap();
            assert_eq!(finding.code, "clock", "{finding}");
        }
    }
}
