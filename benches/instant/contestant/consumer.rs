//! Centrifugo's own consumer of an outbox table in PostgreSQL, fed by a trigger equivalent to Instant's.

use serde_json::json;

use super::{LANES, Running, UNCHANGED, centrifugo, event};
use crate::support::postgres::{Database, free_port};

/// The PostgreSQL channel that wakes the consumer.
const NOTIFICATIONS: &str = "centrifugo_partition_change";

/// Installs the table and the trigger of every order. `channel` and `number` are SQL expressions: the events of channels with the same
/// number belong to one partition, in order.
pub(crate) async fn install(database: &Database, channel: &str, number: &str) {
    let event = event("jsonb_build_object", channel);
    let text = format!(
        "create table centrifugo_outbox (
             id bigserial primary key, method text not null, payload jsonb not null, partition integer not null default 0,
             created_at timestamptz not null default now()
         );
         create function feed_centrifugo() returns trigger language plpgsql as $$
         declare
             part integer := {number} % {LANES};
         begin
             if {UNCHANGED} then
                 return null;
             end if;
             insert into centrifugo_outbox (method, payload, partition) values ('publish', jsonb_build_object(
                 'channel', {channel}, 'idempotency_key', new.id || '-' || pg_current_xact_id(), 'data', {event}), part);
             perform pg_notify('{NOTIFICATIONS}', part::text);
             return null;
         end $$;
         create trigger feed_centrifugo after update on bench_order for each row execute function feed_centrifugo()"
    );
    database.connect().await.batch_execute(&text).await.unwrap();
}

/// Starts Centrifugo, which begins immediately.
pub(crate) async fn start(database: &Database) -> Running {
    let consumer = json!([{
        "enabled": true, "name": "orders", "type": "postgresql",
        "postgresql": {
            // One connection per partition and one that listens; the driver's default is four.
            "dsn": format!("{}?pool_max_conns={}", database.url, LANES + 2),
            "outbox_table_name": "centrifugo_outbox", "num_partitions": LANES,
            "partition_notification_channel": NOTIFICATIONS,
        },
    }]);
    Running::at(centrifugo(free_port(), json!({ "consumers": consumer })).await)
}
