//! Statements that read windows. None takes a lock that anyone waits for.

use std::pin::Pin;

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, RowStream, Statement};

use super::Place;
use super::losses::COUNT;
use crate::outbox::position::{Snapshot, Within};

/// Prepares the first page of the window that begins at a snapshot and ends now: `(snapshot, limit)`. A row visible to the statement
/// was committed before its snapshot, so the window needs no further test. The first row has the snapshot, the time, the count of lost
/// changes, and how many transactions had a number from the snapshot's xmax on.
pub(in crate::outbox) async fn prepare(client: &Client) -> Result<Statement, Error> {
    let statement = format!(
        "select pg_current_snapshot()::text as snapshot, null::bigint as id, clock_timestamp() as at,
                    null::text as source, null::\"char\" as op, null::json as old, null::json as new, null::xid8 as xid,
                    {COUNT} as lost,
                    age(pg_snapshot_xmax(pg_current_snapshot())::xid) as ahead
             from instant.lost
             union all
             (select null, id, at, source, op, old, new, xid, null, null
              from instant.outbox
              where xid >= pg_snapshot_xmax($1::text::pg_snapshot)
                 or xid = any (array(select pg_snapshot_xip($1::text::pg_snapshot)))
              order by id
              limit $2)"
    );
    client.prepare(&statement).await
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

/// Whether the window that begins at a snapshot and ends now has more than `limit` changes. The two parts are counted separately: a
/// plan for both together that ends early would scan all dead rows.
pub(in crate::outbox) async fn holds_more(client: &Client, from: &Snapshot, limit: i64) -> Result<bool, Error> {
    let statement = format!(
        "select count(*) > $1::bigint
         from (
             (select from instant.outbox where xid >= pg_snapshot_xmax('{from}') limit $1::bigint + 1)
             union all
             (select from instant.outbox where xid = any (array(select pg_snapshot_xip('{from}'))) limit $1::bigint + 1)
         ) as change"
    );
    client.query_one(&statement, &[&limit]).await?.try_get(0)
}

/// Opens a cursor on the rest of a window. WITH HOLD: the server materialises it at commit, so that neither its memory nor ours
/// depends on how long the publishing takes.
pub(in crate::outbox) async fn hold_rest(client: &Client, from: &Snapshot, within: &Within) -> Result<(), Error> {
    let Within { until, after } = within;
    client
        .batch_execute(&format!(
            "begin;
             declare rest no scroll cursor with hold for
             select ctid, id
             from instant.outbox
             where (xid >= pg_snapshot_xmax('{from}') or xid = any (array(select pg_snapshot_xip('{from}'))))
               and pg_visible_in_snapshot(xid, '{until}')
               and id > {after}
             order by id;
             commit"
        ))
        .await
}

/// The locations and ids of the next `count` changes of the rest.
pub(in crate::outbox) async fn fetch_rest(client: &Client, count: i64) -> Result<(Vec<Place>, Vec<i64>), Error> {
    let rows = client.query_typed(&format!("fetch forward {count} from rest"), &[]).await?;
    let (mut places, mut ids) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
    for row in &rows {
        places.push(row.try_get(0)?);
        ids.push(row.try_get(1)?);
    }
    Ok((places, ids))
}

/// The changes at these locations, ordered by id. A row of the outbox is never updated, and so never moves, and the purge deletes only
/// settled ones; but a `vacuum full` moves all of them, so the caller compares the ids.
pub(in crate::outbox) async fn changes(client: &Client, places: &[Place]) -> Result<Pin<Box<RowStream>>, Error> {
    let statement = "select null::text as snapshot, id, at, source, op, old, new, xid
                     from instant.outbox
                     where ctid = any ($1)
                     order by id";
    let parameters: [(&(dyn ToSql + Sync), Type); 1] = [(&places, Type::TID_ARRAY)];
    client.query_typed_raw(statement, parameters).await.map(Box::pin)
}

/// Closes the cursor and its temporary file.
pub(in crate::outbox) async fn close_rest(client: &Client) -> Result<(), Error> {
    client.batch_execute("close rest").await
}
