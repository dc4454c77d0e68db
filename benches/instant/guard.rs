//! The trigger without its guard: the insert is outside an exception block, and waits for the outbox's lock without a limit. And the
//! trigger with nothing but the insert.

use tokio_postgres::Client;

use crate::support::postgres::Database;

const FUNCTION: &str = "select pg_get_functiondef('instant.capture_public_bench_order'::regproc)";
/// Parts of the generated function, and their replacements.
const GUARD: [(&str, &str); 4] = [
    (" SET lock_timeout TO '0'\n", ""),
    ("            state := set_config('lock_timeout', '50ms', true);\n", ""),
    ("    else\n        begin\n", "    else\n"),
    (
        "            state := set_config('instant.tx', '1:' || pg_current_xact_id(), true);\n",
        "            state := set_config('instant.tx', '1:' || pg_current_xact_id(), true);\n    end if;\n    return null;\nend\n",
    ),
];

const BARE: &str = "create or replace function instant.capture_public_bench_order() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into instant.outbox (source, op, new) values ('public.bench_order', 'U', json_build_object(
        'id', new.id, 'status', new.status, 'total', new.total::text, 'customer_id', new.customer_id));
    return null;
end $$";

/// Replaces the orders' trigger function.
pub(crate) async fn remove(database: &Database) {
    let client: Client = database.connect().await;
    let mut text: String = client.query_one(FUNCTION, &[]).await.unwrap().get(0);
    for (part, instead) in GUARD {
        assert_eq!(text.matches(part).count(), 1, "`{part}` in\n{text}");
        text = text.replace(part, instead);
    }
    // The rest of the guard's handler follows the new end.
    let (kept, rest) = text
        .split_once("    return null;\nend\n")
        .map_or((text.as_str(), ""), |parts| parts);
    let quote = rest.rsplit_once("end\n").map(|(_, quote)| quote).unwrap_or_default();
    client
        .batch_execute(&format!("{kept}    return null;\nend\n{quote}"))
        .await
        .unwrap();
}

/// Leaves one insert per update, without which there is no outbox, and nothing that protects the write.
pub(crate) async fn strip(database: &Database) {
    let client = database.connect().await;
    client.batch_execute(BARE).await.unwrap();
}
