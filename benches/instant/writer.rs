//! pgbench, which writes during its turns.

use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use tokio_postgres::Client;

use crate::figures::count;
use crate::ground::VERSION;
use crate::support::cache;
use crate::support::postgres::Database;
use crate::support::process::Process;
use crate::support::wait::{SOON, eventually};

/// An update of one row, of a column that is captured. Each adds one to the sum of all totals.
const UPDATE: &str = "\\set id random(1, 100000)
update bench_order set total = total + 1, updated_at = now() where id = :id;
";
/// How long sessions may compile and plan their statements.
const BEGIN: Duration = Duration::from_secs(1);
/// The part of a turn that does not count: commits that wait for each other wake a sleeping relay, and caches are another contestant's.
pub(crate) const WARM_UP: Duration = Duration::from_millis(250);

/// Sixteen clients of a database. Between their turns they are stopped, so that the next turn begins immediately.
pub(crate) struct Writer {
    pgbench: Process,
    client: Client,
    /// The sum of all totals before the first commit.
    before: f64,
    /// Holds the script, and pgbench's log of each transaction.
    folder: TempDir,
}

/// The result of a turn.
pub(crate) struct Written {
    /// Commits.
    pub(crate) commits: u64,
    /// Commits per second, after the warm-up.
    pub(crate) rate: f64,
}

impl Writer {
    /// Starts the clients; they write for a second, and are then stopped.
    pub(crate) async fn start(database: &Database) -> Self {
        let client = database.connect().await;
        let before = sum(&client).await;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("script.sql"), UPDATE).unwrap();
        let program = cache::path(&format!("postgres-{VERSION}/bin/pgbench"));
        let options = [
            "--no-vacuum",
            "--client=16",
            "--jobs=2",
            "--protocol=prepared",
            "--time=100000",
            "--log",
            "--file=script.sql",
            &database.url,
        ];
        let pgbench = Process::new(program.to_str().unwrap(), folder.path(), &options, &[]);
        let writer = Self {
            pgbench,
            client,
            before,
            folder,
        };
        tokio::time::sleep(BEGIN).await;
        writer.stop().await;
        assert!(writer.commits().await > 0, "pgbench: {}", writer.pgbench.output());
        writer
    }

    /// All commits so far.
    pub(crate) async fn commits(&self) -> u64 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
        let commits = (sum(&self.client).await - self.before).round() as u64;
        commits
    }

    /// Runs the clients for this long, after the warm-up.
    pub(crate) async fn write(&self, duration: Duration) -> Written {
        let before = self.commits().await;
        let began = SystemTime::now();
        self.pgbench.signal("CONT").await;
        tokio::time::sleep(WARM_UP + duration).await;
        self.pgbench.signal("STOP").await;
        let time = began.elapsed().unwrap().saturating_sub(WARM_UP);
        self.rest().await;
        let commits = self.commits().await - before;
        let warm = commits - self.logged(began, began + WARM_UP);
        Written {
            commits,
            rate: count(warm) / time.as_secs_f64(),
        }
    }

    /// The commits that pgbench has logged between two moments. It buffers its latest lines for a while.
    fn logged(&self, from: SystemTime, until: SystemTime) -> u64 {
        let micros = |moment: SystemTime| moment.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros();
        let (from, until) = (micros(from), micros(until));
        let logs = std::fs::read_dir(self.folder.path()).unwrap().flatten();
        let logs = logs.filter(|file| file.file_name().to_string_lossy().starts_with("pgbench_log"));
        // Client, transaction, duration in microseconds, script, seconds and microseconds of its end.
        let is_between = |line: &&str| {
            let mut fields = line.split(' ').skip(4).map_while(|field| field.parse::<u128>().ok());
            let (Some(seconds), Some(rest)) = (fields.next(), fields.next()) else {
                return false;
            };
            (from..until).contains(&(seconds * 1_000_000 + rest))
        };
        logs.map(|file| {
            std::fs::read_to_string(file.path())
                .unwrap()
                .lines()
                .filter(is_between)
                .count() as u64
        })
        .sum()
    }

    async fn stop(&self) {
        self.pgbench.signal("STOP").await;
        self.rest().await;
    }

    /// Waits until the transactions under way are committed.
    async fn rest(&self) {
        let busy = "select count(*) from pg_stat_activity
                    where datname = current_database() and application_name = 'pgbench' and state <> 'idle'";
        eventually(SOON, "the last commits", async || {
            let busy: i64 = self.client.query_one(busy, &[]).await.unwrap().get(0);
            (busy == 0).then_some(())
        })
        .await;
    }
}

async fn sum(client: &Client) -> f64 {
    let sum = "select sum(total)::double precision from bench_order";
    client.query_one(sum, &[]).await.unwrap().get(0)
}
