//! Messages sent by hand: from Django, from SQL, from the command line.

use serde_json::{Value, json};

use super::{ORDERS, Stack};
use crate::support::client::Subscriber;
use crate::support::postgres;
use crate::support::process::instant;
use crate::support::wait::SOON;

#[tokio::test(flavor = "multi_thread")]
async fn the_calls_of_the_seed_run_as_they_stand() {
    for version in postgres::versions() {
        let mut stack = Stack::start(version, ORDERS).await;
        let mut others = Subscriber::anonymous(&stack.centrifugo, &["users", "staff"]).await;
        stack
            .django
            .run(
                "from instant.producers import broadcast\n\
                 broadcast(message='Message for everyone', event_class=\"test\")\n\
                 broadcast(message='Message for users', target=\"users\")\n\
                 broadcast(message='Message for staff', target=\"staff\", data={\"field1\":\"value1\",\"field2\":[1,2]})",
            )
            .await;
        let mut event = stack.public.next(SOON).await.value();
        let object = event.as_object_mut().unwrap();
        assert!(object.remove("id").is_some_and(|id| id.is_string()));
        assert!(object.remove("at").is_some_and(|at| at.is_string()));
        assert_eq!(
            event,
            json!({
                "event_class": "test", "message": "Message for everyone", "channel": "public", "site": "Shop", "data": {},
                "op": "broadcast"
            }),
            "the shape of a row's event, without a model and a key"
        );
        let mut told = others.take(2, SOON).await;
        // Two channels have no order between them.
        told.sort_by(|one, other| one.channel.cmp(&other.channel));
        let [staff, users] = &told[..] else {
            panic!("two publications")
        };
        assert_eq!(
            (users.channel.as_str(), &users.value()["message"]),
            ("users", &json!("Message for users"))
        );
        assert_eq!(users.value()["event_class"], "default");
        assert_eq!(staff.channel, "staff");
        assert_eq!(staff.value()["data"], json!({"field1": "value1", "field2": [1, 2]}));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_a_transaction_that_is_rolled_back_is_never_sent_and_of_one_that_commits_in_its_place() {
    let mut stack = Stack::start(18, ORDERS).await;
    let events = stack
        .events(
            "from instant.producers import broadcast, abroadcast\nimport asyncio\nfrom django.db import transaction\n\
             try:\n    with transaction.atomic():\n        broadcast('never')\n        raise ValueError\nexcept ValueError: pass\n\
             with transaction.atomic():\n    Order.objects.create(number='1')\n    broadcast('between')\n    try:\n        with transaction.atomic():\n            broadcast('nor this')\n            raise ValueError\n    except ValueError: pass\n    Order.objects.create(number='2')\n\
             asyncio.run(abroadcast('from async', data={'at': datetime.date(2026, 11, 24), 'total': Decimal('12.50')}))",
        )
        .await;
    let messages: Vec<_> = events.iter().map(|event| event["message"].as_str().unwrap()).collect();
    assert_eq!(messages, ["Order 1", "between", "Order 2", "from async"]);
    assert_eq!(events[3]["data"], json!({"at": "2026-11-24", "total": "12.50"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_a_clear_error_in_python_before_the_database_is_asked() {
    let stack = Stack::start(18, ORDERS).await;
    stack
        .django
        .run("import asyncio\nfrom instant.producers import broadcast, abroadcast\nfrom django.db import transaction")
        .await;
    for (call, raised) in [
        ("broadcast()", "TypeError"),
        ("broadcast(17)", "TypeError: message must be a str, not int"),
        ("broadcast('x', '')", "ValueError: event_class is empty"),
        (
            "broadcast('x', target='everyone')",
            "ValueError: 'everyone' is no target; write public, users, staff, superuser",
        ),
        ("broadcast('x', target='#1,2')", "ValueError: '#1,2' is no target"),
        (
            "broadcast('x', target=['staff'])",
            "TypeError: target must be a str or None, not list",
        ),
        (
            "broadcast('x', target='staff', channel='a')",
            "ValueError: target and channel exclude each other",
        ),
        (
            "broadcast('x', channel='')",
            "ValueError: a channel has 1 to 255 characters, this one has 0",
        ),
        ("broadcast('a\\0b')", "ValueError: message has a NUL character"),
        ("broadcast('x', data=[1])", "TypeError: data must be a dict, not list"),
        (
            "broadcast('x', data={'a': object()})",
            "TypeError: data: Object of type object is not JSON serializable",
        ),
        ("broadcast('x', data={'a': float('nan')})", "ValueError: data: "),
        ("broadcast('x', using='other')", "ConnectionDoesNotExist"),
        (
            "asyncio.run(abroadcast('x', channel=''))",
            "ValueError: a channel has 1 to 255 characters",
        ),
    ] {
        // The transaction is as good as before.
        let code = format!("with transaction.atomic():\n    try:\n        {call}\n    finally:\n        Order.objects.count()");
        let error = stack.django.try_run(&code).await.expect_err(call);
        assert!(
            error.contains(raised) && !error.contains("TransactionManagementError"),
            "{call}: {error}"
        );
    }
    assert_eq!(stack.count("select count(*) from instant.outbox where op = 'B'").await, 0);
    stack.command(&["remove", "--yes"], 0).await;
    let error = stack.django.try_run("broadcast('x')").await.unwrap_err();
    assert!(error.contains("Run `instant apply` on this database."), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_of_target_reaches_its_channel_from_sql_and_from_the_command_line() {
    let stack = Stack::start(15, ORDERS).await;
    let mut heard = Subscriber::user(
        &stack.centrifugo,
        "42",
        &["public", "superuser", "group.editors", "room:1", "#42"],
    )
    .await;
    for (target, channel) in [
        (["--target", "public"], "public"),
        (["--target", "superuser"], "superuser"),
        (["--target", "group:editors"], "group.editors"),
        (["--target", "#42"], "#42"),
        (["--channel", "room:1"], "room:1"),
    ] {
        let mut arguments = vec![
            "send",
            "Hello",
            "--event-class",
            "greeting",
            "--data",
            "{\"n\": 1.50}",
            "--bucket",
            "b",
        ];
        arguments.extend(target);
        assert_eq!(stack.command(&arguments, 0).await, "sent\n");
        let publication = heard.next(SOON).await;
        assert_eq!(publication.channel, channel);
        assert!(
            publication.text().contains("\"data\":{\"n\": 1.50}"),
            "{}",
            publication.text()
        );
        assert_eq!(publication.value()["bucket"], "b");

        let sql = format!("select instant.broadcast('Hello', {} => '{}')", &target[0][2..], target[1]);
        stack.django.database.connect().await.batch_execute(&sql).await.unwrap();
        assert_eq!(heard.next(SOON).await.channel, channel);
    }
    let status: Value = serde_json::from_str(&stack.command(&["status", "--json"], 0).await).unwrap();
    assert!(status["last_changes"]["instant.broadcast"].is_string(), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_command_cannot_send_it_says() {
    let stack = Stack::start(18, ORDERS).await;
    let said = stack.command(&["send", "x", "--target", "everyone"], 1).await;
    assert!(said.contains("'everyone' is no target; write public"), "{said}");
    let said = stack.command(&["send", "x", "--data", "[1]"], 2).await;
    assert!(said.contains("not a JSON object"), "{said}");
    let said = stack.command(&["send", "x", "--target", "staff", "--channel", "a"], 2).await;
    assert!(said.contains("cannot be used with"), "{said}");
    stack.command(&["remove", "--yes"], 0).await;
    let said = stack.command(&["send", "x"], 1).await;
    assert!(said.contains("run `instant apply`"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_centrifugo_refuses_is_parked_and_can_be_sent_again() {
    let stack = Stack::start(18, ORDERS).await;
    stack.command(&["send", "lost", "--channel", "nowhere:1"], 0).await;
    stack.relay.line("parked", SOON).await;
    let letters = crate::support::wait::eventually(SOON, "a dead letter", async || {
        let output = instant(stack.folder.path(), &["dead", "list", "--json"], &[]).await;
        (!output.stdout.is_empty()).then_some(String::from_utf8(output.stdout).unwrap())
    })
    .await;
    let letter: Value = serde_json::from_str(&letters).unwrap();
    assert_eq!(
        (&letter["model"], &letter["channel"]),
        (&json!("instant.broadcast"), &json!("nowhere:1"))
    );
    let said = stack.command(&["dead", "retry", "--all"], 1).await;
    assert!(said.contains("refused again: 1"), "{said}");
}
