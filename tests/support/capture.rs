//! Capture with one of its mechanisms removed, which shows what the mechanism is for.

use tokio_postgres::Client;

/// Replaces a part of a function of the schema `instant` in this database.
pub(crate) async fn replace(client: &Client, function: &str, part: &str, with: &str) {
    let text = format!("select pg_get_functiondef('instant.{function}'::regproc)");
    let text: String = client.query_one(&text, &[]).await.unwrap().get(0);
    assert!(text.contains(part), "`{part}` is not in\n{text}");
    client.batch_execute(&text.replace(part, with)).await.unwrap();
}
