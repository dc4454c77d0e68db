//! The first write of a connection, for which PostgreSQL loads PL/pgSQL, compiles the trigger's function and plans its statements.

use std::time::Instant as Moment;

use crate::figures::Series;
use crate::support::postgres::Database;

/// The number of connections of each contestant.
pub(crate) const CONNECTIONS: usize = 60;
/// The write by which a connection has prepared everything.
const LATER: usize = 10;

/// How long the first write of a connection takes, and its tenth, in milliseconds.
#[derive(Default)]
pub(crate) struct FirstWrite {
    pub(crate) first: Series,
    pub(crate) later: Series,
}

impl FirstWrite {
    /// Opens one more connection, and writes.
    pub(crate) async fn add(&mut self, database: &Database) {
        let client = database.connect().await;
        client.batch_execute("select 1").await.unwrap();
        for write in 1..=LATER {
            let statement = format!("update bench_order set weight = weight + 1, status = md5(status) where id = {write}");
            let started = Moment::now();
            client.batch_execute(&statement).await.unwrap();
            let took = started.elapsed().as_secs_f64() * 1e3;
            match write {
                1 => self.first.push(took),
                LATER => self.later.push(took),
                _ => {}
            }
        }
    }
}
