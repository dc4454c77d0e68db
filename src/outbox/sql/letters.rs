//! Statements on dead letters: the relay parks them, an operator's commands find and settle them.

use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, RowStream};

use crate::outbox::dead_letter::DeadLetter;
use crate::outbox::letters::{LetterFilter, LetterPlace, Refusal};

/// The conditions of a filter, `$1` to `$7`; a null does not narrow it.
const FOUND: &str = "($1::bigint[] is null or id = any ($1))
    and ($2::text is null or model = $2)
    and ($3::integer is null or rule = $3)
    and ($4::text is null or channel = $4)
    and ($5::text is null or position(lower($5) in lower(reason)) > 0)
    and ($6::double precision is null or parked_at < clock_timestamp() - make_interval(secs => $6))
    and ($7::double precision is null or parked_at >= clock_timestamp() - make_interval(secs => $7))";

/// The columns of a letter without its event and its versions of the row.
const HEAD: &str = "id, parked_at, key, change_id, change_at, source, op, model, rule, channel, reason, code, attempts";

/// The values of [`FOUND`]'s parameters.
struct Values<'a> {
    ids: Option<&'a [i64]>,
    older: Option<f64>,
    newer: Option<f64>,
    filter: &'a LetterFilter,
}

impl<'a> Values<'a> {
    fn new(filter: &'a LetterFilter) -> Self {
        Self {
            ids: (!filter.ids.is_empty()).then_some(filter.ids.as_slice()),
            older: filter.older.map(|age| age.as_secs_f64()),
            newer: filter.newer.map(|age| age.as_secs_f64()),
            filter,
        }
    }

    fn parameters(&self) -> [&(dyn ToSql + Sync); 7] {
        let Self {
            ids,
            older,
            newer,
            filter,
        } = self;
        [
            ids,
            &filter.model,
            &filter.rule,
            &filter.channel,
            &filter.reason,
            older,
            newer,
        ]
    }
}

/// Parks a publication. A change that was parked before a crash and is read again is parked once.
pub(in crate::outbox) async fn park(client: &Client, letter: &DeadLetter) -> Result<(), Error> {
    client
        .execute(
            "insert into instant.dead_letter
                (key, change_id, change_at, source, op, model, rule, channel, event, old, new, reason, code, attempts)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9::text::json, $10::text::json, $11::text::json, $12, $13, $14)
             on conflict (key) do nothing",
            &[
                &letter.key,
                &letter.change_id,
                &letter.change_at,
                &letter.source,
                &letter.operation,
                &letter.model,
                &letter.rule,
                &letter.channel,
                &letter.event,
                &letter.old,
                &letter.new,
                &letter.reason,
                &letter.code,
                &letter.attempts,
            ],
        )
        .await
        .map(std::mem::drop)
}

/// At most `limit` letters after the id `after`, ordered by id.
pub(in crate::outbox) async fn page(
    client: &Client,
    filter: &LetterFilter,
    after: i64,
    limit: i64,
    with_bodies: bool,
) -> Result<std::pin::Pin<Box<RowStream>>, Error> {
    let statement = format!(
        "select {HEAD},
                case when $10 then event end, case when $10 then old end, case when $10 then new end
         from instant.dead_letter
         where id > $8 and {FOUND}
         order by id
         limit $9"
    );
    let values = Values::new(filter);
    let own: [&(dyn ToSql + Sync); 3] = [&after, &limit, &with_bodies];
    let parameters: Vec<_> = values.parameters().into_iter().chain(own).collect();
    client.query_raw(&statement, parameters).await.map(Box::pin)
}

/// At most `limit` letters after `after`, in the order of their changes.
pub(in crate::outbox) async fn page_by_change(
    client: &Client,
    filter: &LetterFilter,
    after: LetterPlace,
    limit: i64,
) -> Result<std::pin::Pin<Box<RowStream>>, Error> {
    let statement = format!(
        "select {HEAD}, event, old, new
         from instant.dead_letter
         where (change_id, id) > ($8, $9) and {FOUND}
         order by change_id, id
         limit $10"
    );
    let values = Values::new(filter);
    let own: [&(dyn ToSql + Sync); 3] = [&after.change_id, &after.id, &limit];
    let parameters: Vec<_> = values.parameters().into_iter().chain(own).collect();
    client.query_raw(&statement, parameters).await.map(Box::pin)
}

/// The number of letters that match a filter.
pub(in crate::outbox) async fn count(client: &Client, filter: &LetterFilter) -> Result<i64, Error> {
    let statement = format!("select count(*) from instant.dead_letter where {FOUND}");
    let values = Values::new(filter);
    client.query_one(&statement, &values.parameters()).await?.try_get(0)
}

/// Deletes the letters that match a filter, and returns how many.
pub(in crate::outbox) async fn drop(client: &Client, filter: &LetterFilter) -> Result<u64, Error> {
    let statement = format!("delete from instant.dead_letter where {FOUND}");
    let values = Values::new(filter);
    client.execute(&statement, &values.parameters()).await
}

/// Deletes letters by id.
pub(in crate::outbox) async fn delete(client: &Client, ids: &[i64]) -> Result<(), Error> {
    client
        .execute("delete from instant.dead_letter where id = any ($1)", &[&ids])
        .await
        .map(std::mem::drop)
}

/// Records an attempt that was refused again.
pub(in crate::outbox) async fn refuse(client: &Client, refusal: &Refusal) -> Result<(), Error> {
    client
        .execute(
            "update instant.dead_letter set attempts = attempts + 1, reason = $2, code = $3 where id = $1",
            &[&refusal.id, &refusal.reason, &refusal.code],
        )
        .await
        .map(std::mem::drop)
}
