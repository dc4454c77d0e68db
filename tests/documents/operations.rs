//! `docs/operations.md`: its commands, and what they print.

use super::lesson::Lesson;
use crate::spine::{FAILING, ORDERS, Stack};
use crate::support::document::in_language;
use crate::support::wait::{SOON, eventually};

const PAGE: &str = "docs/operations.md";

/// A relay with parked publications, and a reader beside it.
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

/// What lines begin with, up to two spaces: the names of what they tell, each once.
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
