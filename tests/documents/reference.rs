//! Snippets of the reference pages.

use serde_json::Value;

use super::lesson::Lesson;
use crate::spine::Stack;
use crate::support::client::Subscriber;
use crate::support::django::Django;
use crate::support::document::{in_language, read};
use crate::support::wait::SOON;

/// The members of events, in the order in which they are written.
const MEMBERS: [&str; 13] = [
    "event_class",
    "message",
    "channel",
    "site",
    "bucket",
    "data",
    "id",
    "at",
    "model",
    "op",
    "pk",
    "count",
    "keys",
];

#[tokio::test(flavor = "multi_thread")]
async fn an_access_decision_is_explained_as_the_page_has_it() {
    let django = Django::on(18).await;
    django
        .run("User.objects.create_user('ada', pk=42).groups.add(Group.objects.create(name='editors'))")
        .await;
    let client = django.database.connect().await;
    client
        .batch_execute("create table chat_membership (room_id int, user_id int)")
        .await
        .unwrap();
    let mut lesson = Lesson::of("docs/access.md");
    let rule = lesson.take("toml");
    let head = format!(
        "[database]\nurl = '{}'\n[django]\nsecret_key = 'k'\n[server]\nallowed_origins = ['https://shop.example']\n[[watch]]\nmodel = 'shop.Order'\n",
        django.database.url
    );
    std::fs::write(lesson.folder().join("instant.toml"), head + &rule).unwrap();
    lesson.sh("instant apply").await;
    lesson.transcript().await;
    lesson.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_messages_of_the_page_are_heard_as_it_says() {
    let mut stack = Stack::start(18, "").await;
    let mut others = Subscriber::anonymous(&stack.centrifugo, &["users", "staff"]).await;
    let client = stack.django.database.connect().await;
    let mut lesson = Lesson::of("docs/broadcast.md");
    std::fs::copy(stack.folder.path().join("instant.toml"), lesson.folder().join("instant.toml")).unwrap();

    client.batch_execute(&lesson.take("sql")).await.unwrap();
    let event = stack.public.next(SOON).await;
    assert_eq!(others.next(SOON).await.text().matches("\"field2\": [1, 2]").count(), 1);
    stack.django.run(&lesson.take("python")).await;
    assert_eq!(stack.public.next(SOON).await.value()["event_class"], "test");
    assert_eq!(next_channels(&mut others).await, ["staff", "users"]);
    lesson.run().await;
    assert_eq!(others.next(SOON).await.value()["data"]["field1"], "value1");

    let example = lesson.take("json");
    assert_eq!(members(event.text()), members(&example));
    let (event, example): (Value, Value) = (event.value(), serde_json::from_str(&example).unwrap());
    for member in ["event_class", "message", "channel", "site", "data", "op"] {
        assert_eq!(event[member], example[member], "{member}");
    }
    // Roles are the whole cluster's.
    client.batch_execute("create role app_of_the_page login").await.unwrap();
    let grants = lesson.take("sql").replace(" app;", " app_of_the_page;");
    client.batch_execute(&grants).await.unwrap();
    let application = crate::support::postgres::connect(&stack.django.database.url_as("app_of_the_page")).await;
    application
        .batch_execute("select instant.broadcast('from the application')")
        .await
        .unwrap();
    assert_eq!(stack.public.next(SOON).await.value()["message"], "from the application");
    lesson.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_packages_own_page_is_right() {
    let mut stack = Stack::start(18, "").await;
    let mut others = Subscriber::anonymous(&stack.centrifugo, &["users", "staff"]).await;
    let mut lesson = Lesson::of("python/README.md");
    stack.django.run(&lesson.take("python")).await;
    assert_eq!(stack.public.next(SOON).await.value()["message"], "Message for everyone");
    assert_eq!(next_channels(&mut others).await, ["staff", "users"]);
    lesson.pass(
        "python",
        "the tests of docs/testing.md do the same, with an order that they have made",
    );
    lesson.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_problem_is_shown_as_the_page_has_it() {
    let lesson = Lesson::of("docs/configuration.md");
    let file = "[database]\nurl = 'postgres://a/b'\n\n[[watch]]\nmodel = 'shop.Order'\n\nfeilds = [\"number\"]\n";
    std::fs::write(lesson.folder().join("instant.toml"), file).unwrap();
    let (_, said) = lesson.try_sh("instant check --config instant.toml").await;
    let [wanted] = &in_language("docs/configuration.md", "text")[..] else {
        panic!("one problem")
    };
    assert!(said.contains(wanted.trim_end()), "{wanted}\n{said}");
}

/// The channels of the next two publications; publications of different channels have no order.
async fn next_channels(subscriber: &mut Subscriber) -> [String; 2] {
    let mut channels = [subscriber.next(SOON).await.channel, subscriber.next(SOON).await.channel];
    channels.sort();
    channels
}

/// The members of an event, in order. None of the examples has such a name in its data or texts.
fn members(event: &str) -> Vec<&str> {
    let mut found: Vec<(usize, &str)> = Vec::new();
    for name in MEMBERS {
        found.extend(event.find(&format!("\"{name}\":")).map(|at| (at, name)));
    }
    found.sort_unstable();
    found.into_iter().map(|(_, name)| name).collect()
}

#[test]
fn the_examples_of_events_on_other_pages_have_the_fields_of_the_reference() {
    let reference = in_language("docs/events.md", "json");
    // A collapsed event has the operation of its changes.
    let operation = |event: &str| {
        let event: Value = serde_json::from_str(event).unwrap();
        (event["op"].clone(), event.get("count").is_some())
    };
    let mut count = 0;
    for page in [
        "README.md",
        "docs/broadcast.md",
        "docs/configuration.md",
        "docs/operations.md",
    ] {
        for example in in_language(page, "json") {
            let of = operation(&example);
            let like = reference.iter().find(|event| operation(event) == of).expect(page);
            // The example by hand of the reference has a bucket.
            let wanted: Vec<&str> = members(like).into_iter().filter(|name| *name != "bucket").collect();
            assert_eq!(members(&example), wanted, "{page}");
            count += 1;
        }
    }
    assert_eq!(count, 5);
    let table = read("docs/events.md");
    for name in MEMBERS {
        let is_listed = table
            .lines()
            .any(|line| line.starts_with("| `") && line.split(" |").next().unwrap().contains(&format!("`{name}`")));
        assert!(is_listed, "{name}");
    }
}
