//! Lookups: rules that read rows of another table.

use crate::backlog::Backlog;
use crate::contestant::instant::{Instant, TEMPLATES, To};
use crate::figures::{Series, count, number};
use crate::ground::{Ground, UPDATE};
use crate::report::{Bound, Goal, Section, Table};
use crate::scale::{Scale, told, turns};

/// The number of distinct keys that the orders refer to.
const KEYS: u64 = 1_000;

/// Like [`TEMPLATES`], with a name from another table in the message and in the data.
const RELATED: &str = "
[[watch]]
table = 'bench_order'
fields = ['status', 'total', 'customer_id']
related = { customer = { column = 'customer_id', table = 'bench_customer', key = 'id', fields = ['name'] } }
[[watch.rule]]
target = { user = 'customer_id' }
event_class = 'order_{{ row.status }}'
message = 'Order {{ pk }} of {{ row.customer.name }}'
data = ['status', 'total', 'customer_id', 'customer.name']
";

pub(crate) async fn measure(ground: &Ground, scale: &Scale) -> Section {
    let database = ground.database(scale.compared).await;
    let client = database.connect().await;
    let statement = format!(
        "create table bench_customer (id bigint primary key, name text not null);
         insert into bench_customer select id, 'Customer ' || id from generate_series(0, {KEYS}) as id;
         update bench_order set customer_id = id % {KEYS}"
    );
    client.batch_execute(&statement).await.unwrap();
    Instant::new(&database, To::Centrifugo, RELATED).apply().await;
    let backlog = Backlog::of(ground, database, scale.compared, UPDATE).await;
    let instants = [TEMPLATES, RELATED].map(|rules| Instant::new(&backlog.database, To::Centrifugo, rules));
    let mut rates = [Series::default(), Series::default()];
    for round in 0..scale.rounds {
        for at in turns(instants.len(), round) {
            rates[at].push(backlog.drain(ground, &instants[at]).await.rate);
        }
    }
    let mut table = Table::new(["", "changes/s"]);
    table.row(["without `related`".to_owned(), rates[0].to_string()]);
    table.row(["with `related`".to_owned(), rates[1].to_string()]);
    let (changes, keys) = (number(count(scale.compared)), number(count(KEYS)));
    Section {
        name: "lookups",
        title: "Lookups",
        how: format!(
            "The same {changes} changes of {keys} customers are drained to Centrifugo by a rule with two templates, and by one that also \
             reads and publishes the customer's name. {}",
            told(scale.rounds)
        ),
        tables: vec![table],
        goals: vec![Goal::new(
            "lookups, of the rate without",
            Bound::AtLeast(70.0),
            " %",
            rates[1].over(&rates[0]).map(|share| share * 100.0),
        )],
    }
}
