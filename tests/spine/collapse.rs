//! Many changes of one transaction as one event.

use serde_json::{Value, json};

use super::Stack;
use crate::support::postgres::versions;
use crate::support::process::Process;
use crate::support::wait::{SOON, eventually};

const TAGS: &str = "
[[watch]]
model = 'shop.Tag'
fields = ['name']
[[watch.rule]]
target = 'public'
collapse = { above = 3, message = '{{ count }} tags {{ verb }}' }
[[watch]]
model = 'shop.Order'
fields = ['number']
[[watch.rule]]
target = 'public'
";

/// The message and the keys of each event.
fn told(events: &[Value]) -> Vec<(&str, Value)> {
    let keys = |event: &Value| {
        if event["count"].is_null() {
            event["pk"].clone()
        } else {
            event["keys"].clone()
        }
    };
    events
        .iter()
        .map(|event| (event["message"].as_str().unwrap(), keys(event)))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_so_many_changes_of_a_transaction_are_one_event_and_fewer_are_told_one_by_one() {
    for version in versions() {
        let mut stack = Stack::start(version, TAGS).await;
        let tags = "Tag.objects.bulk_create(Tag(pk=n, name=str(n)) for n in range(COUNT))";
        let few = stack.events(&tags.replace("COUNT", "3")).await;
        assert_eq!(told(&few), [("Tag 0", json!(0)), ("Tag 1", json!(1)), ("Tag 2", json!(2))]);
        let code = "
from django.db.models import Value
from django.db.models.functions import Concat
Tag.objects.update(name=Concat('name', Value('!')))
Tag.objects.bulk_create(Tag(pk=n, name=str(n)) for n in range(3, 8))";
        let many = stack.events(code).await;
        let mut wanted = vec![("Tag 0", json!(0)), ("Tag 1", json!(1)), ("Tag 2", json!(2))];
        wanted.push(("5 tags created", json!([3, 4, 5, 6, 7])));
        assert_eq!(told(&many), wanted, "two transactions");
        let code = "
with transaction.atomic():
    Order.objects.create(pk=1, number='first')
    Tag.objects.all().delete()
    Order.objects.create(pk=2, number='second')";
        let deleted = stack.events(code).await;
        assert_eq!(
            told(&deleted),
            [
                ("Order 1", json!(1)),
                ("8 tags deleted", json!([0, 1, 2, 3, 4, 5, 6, 7])),
                ("Order 2", json!(2))
            ]
        );
        assert_eq!(deleted[1]["data"], json!({}));
        assert_eq!((&deleted[1]["op"], &deleted[1]["count"]), (&json!("delete"), &json!(8)));
        assert!(deleted[1]["id"].as_str().unwrap().ends_with("-1-x8"), "{}", deleted[1]["id"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collapse_goes_over_all_pages_of_a_transaction_and_others_do_not_wait() {
    let rules = "
[[watch.rule]]
channel = 'room:{{ row.id % 2 }}'
event_class = 'each'
";
    let watches = TAGS.replacen(
        "[[watch]]\nmodel = 'shop.Order'",
        &format!("{rules}[[watch]]\nmodel = 'shop.Order'"),
        1,
    );
    let mut stack = Stack::start(18, &watches).await;
    let insert = "Tag.objects.bulk_create((Tag(pk=n, name=str(n)) for n in range(7_000)), batch_size=7_000)";
    let events = stack.events(insert).await;
    assert_eq!(told(&events), [("7000 tags created", json!(null))]);
    // Another lane's, which may be behind that of the tags.
    let history = json!({ "channel": "room:1", "limit": 0 });
    eventually(SOON, "the others, each", async || {
        let history = stack.centrifugo.call("history", &history).await;
        (history["result"]["offset"] == 3_500).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_is_killed_while_it_collapses_tells_all_of_it_once_after_its_next_start() {
    let watches = TAGS.replace("target = 'public'\n", "channel = 'public'\n")
        + "[[watch]]\nmodel = 'shop.OrderLine'\n[[watch.rule]]\nchannel = 'room:1'\n";
    let mut stack = Stack::start(18, &watches).await;
    // A transaction that publishes one by one before and between what it collapses.
    let write = "insert into instant.outbox (source, op, new)
        select case when n > 10000 and n % 2 = 0 then 'public.shop_tag' else 'public.shop_orderline' end,
               'I', json_build_object('id', n, 'name', repeat('x', 200))
        from generate_series(1, 50000) n";
    let client = stack.django.database.connect().await;
    client.batch_execute(write).await.unwrap();
    let inside = "select count(*) from instant.relay where after is not null";
    eventually(SOON * 3, "much of the window", async || {
        let history = json!({ "channel": "room:1", "limit": 0 });
        let history = stack.centrifugo.call("history", &history).await;
        (history["result"]["offset"].as_u64()? > 20_000).then_some(())
    })
    .await;
    // From here on nothing is published, so that the window cannot end.
    stack.centrifugo.signal("STOP").await;
    eventually(SOON, "a cursor within the window", async || {
        (stack.count(inside).await == 1).then_some(())
    })
    .await;
    stack.relay.signal("KILL").await;
    stack.centrifugo.signal("CONT").await;
    stack.relay.wait(SOON).await;
    assert_eq!(stack.count(inside).await, 1, "the window had not ended");
    stack.relay = Process::instant(stack.folder.path(), &["run"], &[]);
    // Most of the window is sent once more before it.
    let event = stack.public.next(SOON * 3).await.value();
    assert_eq!(event["count"], 20_000, "{event}");
    assert_eq!(stack.events("").await, [] as [Value; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_collapsed_is_replayed_and_shown_as_one() {
    let mut stack = Stack::start(18, TAGS).await;
    let tail = Process::instant(stack.folder.path(), &["tail", "--model", "shop.Tag"], &[]);
    tail.line("waiting for changes", SOON).await;
    let first = stack
        .events("Tag.objects.bulk_create(Tag(pk=n, name=str(n)) for n in range(5))")
        .await;
    tail.line("shop.Tag ×5 insert → public  \"Tag created\"", SOON).await;
    let said = stack.command(&["replay", "--since", "1h", "--model", "shop.Tag"], 0).await;
    assert!(said.contains("changes: 5, sent: 1, refused: 0"), "{said}");
    let again = stack.public.next(SOON).await.value();
    assert_eq!(again, first[0], "under the same id");
    let metrics = stack.command(&["dead", "list"], 0).await;
    assert!(metrics.contains("no dead letters"), "{metrics}");
}
