//! The statements that read windows. None takes a lock that anyone waits for.

use std::pin::Pin;

use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, RowStream, Statement};

use crate::outbox::position::{Snapshot, Within};

/// The first page of the window that begins at a snapshot and ends now: `(snapshot, limit)`. A row visible to the statement was
/// committed before its snapshot, so the window needs no further test. The first row has the snapshot alone.
pub(in crate::outbox) async fn prepare(client: &Client) -> Result<Statement, Error> {
    client
        .prepare(
            "select pg_current_snapshot()::text as snapshot, null::bigint as id, null::timestamptz as at,
                    null::text as source, null::\"char\" as op, null::json as old, null::json as new, null::xid8 as xid
             union all
             (select null, id, at, source, op, old, new, xid
              from instant.outbox
              where xid >= pg_snapshot_xmax($1::text::pg_snapshot)
                 or xid = any (array(select pg_snapshot_xip($1::text::pg_snapshot)))
              order by id
              limit $2)",
        )
        .await
}

/// Runs [`prepare`]'s statement.
pub(in crate::outbox) async fn first_page(
    client: &Client,
    statement: &Statement,
    snapshot: &Snapshot,
    limit: i64,
) -> Result<Pin<Box<RowStream>>, Error> {
    let parameters: [&(dyn ToSql + Sync); 2] = [&snapshot.as_str(), &limit];
    client.query_raw(statement, parameters).await.map(Box::pin)
}

/// Opens a cursor on the rest of a window. WITH HOLD: the server materialises it at commit, so that neither its memory nor ours,
/// nor the xmin horizon, depends on how long the publishing takes. With `keys` alone the temporary file is small, and
/// [`changes`] reads the rest of each row.
pub(in crate::outbox) async fn hold_rest(client: &Client, from: &Snapshot, within: &Within, keys: bool) -> Result<(), Error> {
    let columns = if keys {
        "xid::text, id"
    } else {
        "null::text as snapshot, id, at, source, op, old, new, xid"
    };
    let Within { until, after } = within;
    client
        .batch_execute(&format!(
            "begin;
             declare rest no scroll cursor with hold for
             select {columns}
             from instant.outbox
             where (xid >= pg_snapshot_xmax('{from}') or xid = any (array(select pg_snapshot_xip('{from}'))))
               and pg_visible_in_snapshot(xid, '{until}')
               and id > {after}
             order by id;
             commit"
        ))
        .await
}

/// Leaves the transaction in which [`hold_rest`] failed.
pub(in crate::outbox) async fn roll_back(client: &Client) -> Result<(), Error> {
    client.batch_execute("rollback").await
}

/// The next `count` changes of the rest.
pub(in crate::outbox) async fn fetch_rest(client: &Client, count: i64) -> Result<Pin<Box<RowStream>>, Error> {
    let none: [&(dyn ToSql + Sync); 0] = [];
    client
        .query_raw(&format!("fetch forward {count} from rest"), none)
        .await
        .map(Box::pin)
}

/// The next `count` keys of the rest, where it holds these alone: transactions and ids.
pub(in crate::outbox) async fn fetch_keys(client: &Client, count: i64) -> Result<(Vec<String>, Vec<i64>), Error> {
    let rows = client.query(&format!("fetch forward {count} from rest"), &[]).await?;
    let (mut xids, mut ids) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
    for row in &rows {
        xids.push(row.try_get(0)?);
        ids.push(row.try_get(1)?);
    }
    Ok((xids, ids))
}

/// The changes with these keys.
pub(in crate::outbox) async fn changes(
    client: &Client,
    (xids, ids): &(Vec<String>, Vec<i64>),
) -> Result<Pin<Box<RowStream>>, Error> {
    let parameters: [&(dyn ToSql + Sync); 2] = [xids, ids];
    client
        .query_raw(
            "select null::text as snapshot, change.id, change.at, change.source, change.op, change.old, change.new,
                    change.xid
             from unnest($1::text[], $2::bigint[]) as key (xid, id)
             join instant.outbox as change on change.xid = key.xid::xid8 and change.id = key.id
             order by change.id",
            parameters,
        )
        .await
        .map(Box::pin)
}

/// Closes the cursor and its temporary file.
pub(in crate::outbox) async fn close_rest(client: &Client) -> Result<(), Error> {
    client.batch_execute("close rest").await
}
