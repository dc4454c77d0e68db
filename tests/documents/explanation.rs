//! The explanation pages: their SQL is run in named sessions, and its output matches the pages.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use futures_util::StreamExt;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_postgres::{AsyncMessage, Client, NoTls, SimpleQueryMessage};

use crate::support::document::snippets;
use crate::support::postgres::{database, versions};

/// A terminal with psql.
struct Session {
    client: Client,
    /// The channels of the notifications received.
    notified: UnboundedReceiver<String>,
}

impl Session {
    async fn open(url: &str) -> Self {
        let (client, mut connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
        let (notify, notified) = unbounded_channel();
        tokio::spawn(async move {
            let mut messages = futures_util::stream::poll_fn(move |context| connection.poll_message(context));
            while let Some(Ok(message)) = messages.next().await {
                if let AsyncMessage::Notification(notification) = message {
                    // Nobody looks any more when the test is over.
                    let _ = notify.send(notification.channel().to_owned());
                }
            }
        });
        Self { client, notified }
    }

    /// Runs statements; returns the rows, as `psql -A` prints them, and the notifications.
    async fn run(&mut self, sql: &str) -> String {
        let messages = self
            .client
            .simple_query(sql)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        let mut printed = String::new();
        let mut rows: Option<usize> = None;
        for message in messages {
            // Writing to a String cannot fail.
            let _ = match message {
                SimpleQueryMessage::RowDescription(columns) => {
                    rows = Some(0);
                    let names: Vec<&str> = columns.iter().map(tokio_postgres::SimpleColumn::name).collect();
                    writeln!(printed, "{}", names.join("|"))
                }
                SimpleQueryMessage::Row(row) => {
                    rows = rows.map(|count| count + 1);
                    let values: Vec<&str> = (0..row.len()).map(|index| row.get(index).unwrap_or_default()).collect();
                    writeln!(printed, "{}", values.join("|"))
                }
                SimpleQueryMessage::CommandComplete(_) => match rows.take() {
                    Some(1) => writeln!(printed, "(1 row)"),
                    Some(count) => writeln!(printed, "({count} rows)"),
                    None => Ok(()),
                },
                _ => Ok(()),
            };
        }
        while let Ok(channel) = self.notified.try_recv() {
            let _ = writeln!(printed, "Asynchronous notification \"{channel}\" received.");
        }
        printed
    }
}

/// Runs a page's SQL in the sessions that its first lines name, and compares the output. Returns the number of results compared.
async fn follow(page: &str, version: u32) -> usize {
    let database = database(version).await;
    let mut sessions: BTreeMap<String, Session> = BTreeMap::new();
    let mut printed = String::new();
    let mut compared = 0;
    for snippet in snippets(page) {
        let place = format!("PostgreSQL {version}, {page}:{}", snippet.line);
        if snippet.language == "text" {
            assert_eq!(printed, snippet.text, "{place}");
            compared += 1;
            continue;
        }
        assert_eq!(snippet.language, "sql", "{place}");
        let name = snippet
            .text
            .lines()
            .next()
            .unwrap()
            .strip_prefix("-- ")
            .expect(&place)
            .to_owned();
        if !sessions.contains_key(&name) {
            sessions.insert(name.clone(), Session::open(&database.url).await);
        }
        printed = sessions.get_mut(&name).unwrap().run(&snippet.text).await;
    }
    compared
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_by_id_loses_the_late_commit_and_a_window_does_not() {
    for version in versions() {
        assert_eq!(follow("docs/explanation/windows.md", version).await, 7);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_notifies_who_sleeps_and_nobody_falls_asleep_beside_its_change() {
    for version in versions() {
        assert_eq!(follow("docs/explanation/doze.md", version).await, 6);
    }
}

#[test]
fn the_pages_lock_is_the_one_that_triggers_try() {
    let page = crate::support::document::read("docs/explanation/doze.md");
    let lock = instant::capture::DOZE_LOCK.to_string();
    let named = page.split("lock(").chain(page.split("lock_shared(")).skip(1);
    let others: Vec<&str> = named
        .filter(|rest| rest.starts_with(|first: char| first.is_ascii_digit()) && !rest.starts_with(&lock))
        .collect();
    assert!(others.is_empty() && page.matches(&lock).count() == 6, "{others:?}");
}
