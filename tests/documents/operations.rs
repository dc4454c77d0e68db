//! `docs/operations.md`: its commands and their output.

use super::lesson::Lesson;
use crate::spine::{FAILING, ORDERS, Stack};
use crate::support::document::in_language;
use crate::support::postgres::versions;
use crate::support::wait::{SOON, eventually};

const PAGE: &str = "docs/operations.md";

/// A relay with parked publications, and a lesson that follows the page next to it.
async fn beside_a_relay() -> (Stack, Lesson) {
    let mut stack = Stack::start(18, &format!("{ORDERS}{FAILING}")).await;
    stack.events("Tag.objects.create(name='a')").await;
    let lesson = Lesson::of(PAGE);
    std::fs::copy(stack.folder.path().join("instant.toml"), lesson.folder().join("instant.toml")).unwrap();
    eventually(SOON, "two dead letters", async || {
        lesson.sh("instant dead list").await.contains("2 found").then_some(())
    })
    .await;
    (stack, lesson)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_page_are_commands() {
    let (stack, lesson) = beside_a_relay().await;
    let mut count = 0;
    for line in in_language(PAGE, "sh").iter().flat_map(|snippet| snippet.lines()) {
        let line = line.replace("show 17", "show 1");
        // 2 is a wrong call, and what is more than 2 no end that the command has; 1 is refused again, or not confirmed.
        let said = lesson
            .sh(&format!("{line}\n[ $? -lt 2 ]").replacen("instant ", "set +e; instant ", 1))
            .await;
        assert!(!said.contains("there is no"), "{line}: {said}");
        count += 1;
    }
    assert_eq!(count, 8);
    let client = stack.django.database.connect().await;
    client.batch_execute("create role backup").await.unwrap();
    for statement in in_language(PAGE, "sql") {
        client.batch_execute(&statement).await.unwrap();
    }
}

/// The labels of lines: their beginnings up to two spaces, each once.
fn labels(text: &str) -> Vec<&str> {
    let mut labels: Vec<&str> = text.lines().map(|line| line.split("  ").next().unwrap()).collect();
    labels.dedup();
    labels
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_page_shows_is_what_the_commands_print() {
    let (stack, lesson) = beside_a_relay().await;
    let [status, tail, adopt] = &in_language(PAGE, "text")[..] else {
        panic!("three transcripts")
    };
    let (command, shown) = status.split_once('\n').unwrap();
    let printed = lesson.sh(command.trim_start_matches("$ ")).await;
    assert_eq!(labels(shown), labels(&printed), "{printed}");

    let (command, shown) = tail.split_once('\n').unwrap();
    let process = lesson.begin(command.trim_start_matches("$ "));
    process.line("waiting for changes", SOON).await;
    stack.django.run("Tag.objects.create(name='b')").await;
    let printed = process.line("→ public  \"Tag created\"", SOON).await;
    // Time, model, key, operation, channel and class, with the same marks between them.
    let marks = |line: &str| -> String {
        line.chars()
            .filter(|letter| !letter.is_alphanumeric() && *letter != '#')
            .collect()
    };
    let line = shown.lines().find(|line| line.contains("\"Order edited\"")).unwrap();
    assert_eq!(marks(line), marks(&printed), "{printed}");

    let (_, shown) = adopt.split_once('\n').unwrap();
    let (_, said) = lesson.try_sh("instant adopt").await;
    assert!(
        shown.starts_with("the cursor belongs to this cluster") && said.contains("the cursor belongs to this cluster"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_is_given_up_as_the_page_says_and_the_relay_goes_on_with_one_resync() {
    for version in versions() {
        let mut stack = Stack::start(version, ORDERS).await;
        stack.events("Tag.objects.create(name='a')").await;
        stack.settled().await;
        stack.stop().await;
        let client = stack.django.database.connect().await;
        client
            .batch_execute(
                "insert into shop_order (number, status, total, notes) select n, 'new', 1, '' from generate_series(1, 3000) as n;
                 update instant.relay
                 set until = pg_current_snapshot(), after = (select min(id) + 200 from instant.outbox)",
            )
            .await
            .unwrap();
        let recipe = in_language(PAGE, "sql");
        let recipe = recipe.iter().find(|statement| statement.contains("truncate")).unwrap();
        client.batch_execute(recipe).await.unwrap();
        stack.go_on().await;
        let told = stack.public.next(SOON).await.value();
        assert_eq!(told["event_class"], "instant.resync", "{told}");
        let events = stack.events("Order.objects.create(number='new')").await;
        assert_eq!(events.len(), 1, "neither what was given up nor another resync: {events:#?}");
        assert_eq!(events[0]["pk"], 3001);
        stack.settled().await;
    }
}
