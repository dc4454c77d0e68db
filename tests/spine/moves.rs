//! A row that moves to another audience: the former one is notified that it left, the new one gets it.

use serde_json::{Value, json};

use super::Stack;
use crate::support::client::{Publication, Subscriber};
use crate::support::postgres;
use crate::support::wait::{SOON, eventually};

const MOVES: &str = "
[[watch]]
model = 'shop.Order'
fields = ['number', 'status', 'customer']
[[watch.rule]]
target = { user = 'customer' }
message = 'Secret {{ row.number }}'
[[watch.rule]]
channel = 'room:{{ row.status }}'
[[watch.rule]]
target = 'users'
when = \"row.status == 'open'\"
follow = true
event_class = 'open'
data = ['number']
";

/// Class and key of a publication.
fn told(publication: &Publication) -> (String, String, Value) {
    let event = publication.value();
    let class = event["event_class"].as_str().unwrap().to_owned();
    (publication.channel.clone(), class, event["pk"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_former_audience_is_told_the_key_alone_and_the_new_one_gets_the_row() {
    for version in postgres::versions() {
        let stack = Stack::start(version, MOVES).await;
        let mut one = Subscriber::user(&stack.centrifugo, "1", &["#1"]).await;
        let mut two = Subscriber::user(&stack.centrifugo, "2", &["#2"]).await;
        stack
            .django
            .run(
                "Customer.objects.create(name='a'), Customer.objects.create(name='b')\n\
                 Order.objects.create(number='A1', status='s', customer_id=1)\n\
                 Order.objects.update(customer_id=2)\nOrder.objects.update(number='A2')\n\
                 Order.objects.update(customer=None)\nOrder.objects.update(customer_id=1)\nOrder.objects.all().delete()",
            )
            .await;
        let of_one = one.take(4, SOON).await;
        let of_two = two.take(3, SOON).await;
        let classes =
            |publications: &[Publication]| publications.iter().map(|publication| told(publication).1).collect::<Vec<_>>();
        assert_eq!(
            classes(&of_one),
            ["Order created", "Order left", "Order edited", "Order deleted"]
        );
        assert_eq!(classes(&of_two), ["Order edited", "Order edited", "Order left"]);
        let mut left = of_one[1].value();
        let object = left.as_object_mut().unwrap();
        let id = object.remove("id").unwrap();
        object.remove("at").unwrap();
        assert_eq!(
            left,
            json!({
                "event_class": "Order left", "message": "Order 1", "channel": "#1", "site": "Shop", "data": {},
                "model": "shop.Order", "op": "leave", "pk": 1
            })
        );
        let arrived = of_two[0].value();
        assert_eq!(arrived["message"], "Secret A1");
        assert_eq!(arrived["data"], json!({"number": "A1", "status": "s", "customer_id": 2}));
        assert_eq!(
            id,
            format!("{}-left", arrived["id"].as_str().unwrap()),
            "another idempotency key"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_leaves_its_room_for_another_under_its_former_key() {
    let stack = Stack::start(18, MOVES).await;
    let mut rooms = Subscriber::anonymous(&stack.centrifugo, &["room:a", "room:b"]).await;
    stack
        .django
        .run("o = Order.objects.create(number='1', status='a')\nOrder.objects.update(id=7, status='b')")
        .await;
    let mut heard: Vec<_> = rooms.take(3, SOON).await.iter().map(told).collect();
    // Two channels have no order between them.
    heard.sort_by_key(|told| told.0.clone());
    let expected = [
        ("room:a", "Order created", json!(1)),
        ("room:a", "Order left", json!(1)),
        ("room:b", "Order edited", json!(7)),
    ];
    let expected = expected.map(|(channel, class, pk)| (channel.to_owned(), class.to_owned(), pk));
    assert_eq!(heard, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_follows_tells_of_rows_that_stop_and_start_to_match() {
    for version in postgres::versions() {
        let stack = Stack::start(version, MOVES).await;
        let mut users = Subscriber::anonymous(&stack.centrifugo, &["users"]).await;
        stack
            .django
            .run(
                "Order.objects.create(number='1', status='draft')\nOrder.objects.update(status='open')\n\
                 Order.objects.update(number='2')\nOrder.objects.update(status='closed')\n\
                 Order.objects.update(status='gone')\nOrder.objects.update(status='open')\nOrder.objects.all().delete()",
            )
            .await;
        let heard: Vec<_> = users.take(5, SOON).await.iter().map(Publication::value).collect();
        let classes: Vec<_> = heard.iter().map(|event| event["event_class"].as_str().unwrap()).collect();
        assert_eq!(classes, ["open", "open", "Order left", "open", "open"]);
        assert_eq!(
            heard[0]["data"],
            json!({"number": "1"}),
            "who could not see the row before gets it whole"
        );
        assert_eq!((&heard[2]["data"], &heard[2]["op"]), (&json!({}), &json!("leave")));
        assert_eq!(heard[4]["op"], "delete");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_departure_that_was_refused_is_parked_under_its_key_and_sent_again() {
    let rules =
        "[[watch]]\nmodel = 'shop.Order'\nfields = ['status']\n[[watch.rule]]\nchannel = '{{ row.status }}'\non = 'update'\n";
    let mut stack = Stack::start(15, rules).await;
    let events = stack
        .events("o = Order.objects.create(number='1', status='nowhere:1')\no.status = 'public'\no.save()")
        .await;
    assert_eq!(events.len(), 1, "{events:#?}");
    let parked = "select count(*) from instant.dead_letter where key like '%-left' and event::json->>'op' = 'leave'";
    eventually(SOON, "the dead letter", async || {
        (stack.count(parked).await == 1).then_some(())
    })
    .await;
    let redirect = "update instant.dead_letter set channel = 'public'";
    stack.django.database.connect().await.batch_execute(redirect).await.unwrap();
    let output = stack.command(&["dead", "retry", "--rule", "shop.Order/1"], 0).await;
    assert!(output.contains("sent: 1, no longer needed: 0, refused again: 0"), "{output}");
    let left = stack.public.next(SOON).await.value();
    assert_eq!((&left["event_class"], &left["data"]), (&json!("Order left"), &json!({})));
    assert_eq!(left["id"], format!("{}-left", events[0]["id"].as_str().unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_tells_of_departures_again_under_their_event_ids() {
    let stack = Stack::start(18, MOVES).await;
    let mut rooms = Subscriber::anonymous(&stack.centrifugo, &["room:a", "room:b"]).await;
    let code = "Order.objects.create(number='1', status='a')\nOrder.objects.update(status='b')";
    stack.django.run(code).await;
    // Two channels have no order between them.
    let ids = |publications: &[Publication]| {
        let ids = publications.iter().map(|publication| publication.value()["id"].to_string());
        ids.collect::<std::collections::BTreeSet<_>>()
    };
    let first = ids(&rooms.take(3, SOON).await);
    stack.settled().await;
    let output = stack.command(&["replay", "--since", "1h", "--model", "shop.Order"], 0).await;
    assert!(output.contains("changes: 2, sent: 3, refused: 0"), "{output}");
    let again = ids(&rooms.take(3, SOON).await);
    assert_eq!(again, first);
    assert_eq!(first.iter().filter(|id| id.contains("-left")).count(), 1);
}
