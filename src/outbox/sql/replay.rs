//! Statements of `instant replay`.

use std::pin::Pin;

use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, RowStream};

use crate::outbox::replay::Span;

/// Opens a cursor on the settled changes of a span, ordered by id; the first column is the one that holds a window's snapshot. WITH
/// HOLD: the server materialises it at commit. No index serves `at`, since it would cost every watched write.
pub(in crate::outbox) async fn open(client: &Client, span: &Span) -> Result<(), Error> {
    client.batch_execute("begin").await?;
    client
        .execute(
            "select set_config('instant.replay_since', $1::timestamptz::text, true),
                    set_config('instant.replay_until', $2::timestamptz::text, true),
                    set_config('instant.replay_sources', coalesce($3::text[]::text, ''), true)",
            &[&span.since, &span.until, &span.sources],
        )
        .await?;
    // DECLARE takes no parameters.
    client
        .batch_execute(
            "declare replay no scroll cursor with hold for
             select null::text as snapshot, change.id, change.at, change.source, change.op, change.old, change.new,
                    change.xid
             from instant.outbox as change, instant.relay as relay
             where relay.name = 'main'
               and change.at >= current_setting('instant.replay_since')::timestamptz
               and change.at < current_setting('instant.replay_until')::timestamptz
               and (current_setting('instant.replay_sources') = ''
                    or change.source = any (nullif(current_setting('instant.replay_sources'), '')::text[]))
               and (pg_visible_in_snapshot(change.xid, relay.snapshot)
                    or change.id <= relay.after and pg_visible_in_snapshot(change.xid, relay.until))
             order by change.id;
             commit",
        )
        .await
}

/// The next `count` changes.
pub(in crate::outbox) async fn fetch(client: &Client, count: i64) -> Result<Pin<Box<RowStream>>, Error> {
    let none: [&(dyn ToSql + Sync); 0] = [];
    let statement = format!("fetch forward {count} from replay");
    client.query_raw(&statement, none).await.map(Box::pin)
}

/// Closes the cursor and its temporary file.
pub(in crate::outbox) async fn close(client: &Client) -> Result<(), Error> {
    client.batch_execute("close replay").await
}
