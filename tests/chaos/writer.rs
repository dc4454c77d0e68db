//! Writers: transactions that write rows and, in the same transaction, record what they did to them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_postgres::{Client, Error, NoTls};
use tokio_util::sync::CancellationToken;

/// Writers at once.
const WRITERS: u64 = 4;
/// The pause between two transactions of a writer.
const PAUSE: Duration = Duration::from_millis(15);
/// The delay before a writer reconnects.
const RECONNECT: Duration = Duration::from_millis(50);

/// The rows, and the ledger of their deeds. A row's lock is held when its deed is numbered, so that the numbers order a row's deeds.
pub(super) const TABLES: &str = "
create table account (id bigserial primary key, value text not null);
create table truth (number bigserial primary key, operation text, row_id bigint, value text);
insert into account (value) select 'first ' || n from generate_series(1, 50) as n";

const INSERT: &str = "with done as (insert into account (value) values ($1) returning id, value)
    insert into truth (operation, row_id, value) select 'insert', id, value from done";
const UPDATE: &str = "with done as (
        update account set value = $1 where id = (select id from account where id >= $2 order by id limit 1) returning id, value)
    insert into truth (operation, row_id, value) select 'update', id, value from done";
const UPDATE_MANY: &str = "with done as (
        update account set value = $1 || ' ' || id where id % 7 = $2 % 7 and id > (select max(id) from account) - 100
        returning id, value)
    insert into truth (operation, row_id, value) select 'update', id, value from done";
const DELETE: &str = "with done as (
        delete from account where id = (select id from account where id >= $1 order by id limit 1) returning id, value)
    insert into truth (operation, row_id, value) select 'delete', id, value from done";

/// What the writers have done so far.
#[derive(Debug, Default)]
pub(super) struct Written {
    committed: AtomicU64,
    rolled_back: AtomicU64,
    failed: AtomicU64,
}

impl fmt::Display for Written {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [committed, rolled_back, failed] =
            [&self.committed, &self.rolled_back, &self.failed].map(|count| count.load(Ordering::Relaxed));
        writeln!(
            formatter,
            "transactions    {committed} committed, {rolled_back} rolled back, {failed} failed or in doubt"
        )
    }
}

/// The writers, until they are stopped.
pub(super) struct Writers {
    tasks: JoinSet<()>,
    stop: CancellationToken,
    written: Arc<Written>,
}

impl Writers {
    pub(super) fn start(url: &str) -> Self {
        let (stop, written) = (CancellationToken::new(), Arc::<Written>::default());
        let mut tasks = JoinSet::new();
        for number in 0..WRITERS {
            tasks.spawn(work(number, url.to_owned(), stop.clone(), Arc::clone(&written)));
        }
        Self { tasks, stop, written }
    }

    /// Lets the transactions in progress finish.
    pub(super) async fn stop(mut self) -> Arc<Written> {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        self.written
    }
}

async fn work(number: u64, url: String, stop: CancellationToken, written: Arc<Written>) {
    let mut random = fastrand::Rng::with_seed(number);
    let mut connection = None;
    let mut values = 0_u64;
    while !stop.is_cancelled() {
        let Some(client) = &connection else {
            connection = connect(&url).await;
            tokio::time::sleep(RECONNECT).await;
            continue;
        };
        let commits = random.u8(..5) > 0;
        let count = match transaction(client, number, &mut values, commits, &mut random).await {
            Ok(()) if commits => &written.committed,
            Ok(()) => &written.rolled_back,
            Err(_) => {
                // Whether a commit was done when its answer is lost, the table of the truth says.
                connection = None;
                &written.failed
            }
        };
        count.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(PAUSE).await;
    }
}

async fn connect(url: &str) -> Option<Client> {
    let (client, connection) = tokio_postgres::connect(&format!("{url}?application_name=writer"), NoTls)
        .await
        .ok()?;
    tokio::spawn(connection);
    Some(client)
}

async fn transaction(
    client: &Client,
    writer: u64,
    values: &mut u64,
    commits: bool,
    random: &mut fastrand::Rng,
) -> Result<(), Error> {
    client.batch_execute("begin").await?;
    for _ in 0..random.u8(1..5) {
        let undoes = random.u8(..8) == 0;
        if undoes {
            client.batch_execute("savepoint before").await?;
        }
        *values += 1;
        let value = format!("{writer}-{values}");
        // The newest rows are written by all, so that they wait for each other; a deadlock fails a transaction now and then.
        let near = random.i64(1..60);
        match random.u8(..10) {
            0..4 => client.execute(INSERT, &[&value]).await?,
            4..8 => client.execute(UPDATE, &[&value, &near]).await?,
            8 => client.execute(UPDATE_MANY, &[&value, &near]).await?,
            _ => client.execute(DELETE, &[&near]).await?,
        };
        if undoes {
            client.batch_execute("rollback to before").await?;
        }
    }
    client.batch_execute(if commits { "commit" } else { "rollback" }).await
}
