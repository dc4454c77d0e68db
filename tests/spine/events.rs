//! The events of each kind of write.

use serde_json::{Value, json};

use super::{ORDERS, Stack, expect};
use crate::support::client::Subscriber;
use crate::support::postgres;
use crate::support::wait::SOON;

#[tokio::test(flavor = "multi_thread")]
async fn every_write_of_the_orm_gives_exactly_its_events_in_order() {
    for version in postgres::versions() {
        let mut stack = Stack::start(version, ORDERS).await;
        let events = stack
            .events("o = Order.objects.create(number='A1', total='12.50')\no.status = 'paid'\no.save()\no.notes = 'not watched'\no.save()")
            .await;
        expect(&events, &[("Order created", json!(1)), ("Order edited", json!(1))]);
        assert_eq!(
            events[1]["data"],
            json!({"number": "A1", "status": "paid", "total": "12.50", "customer_id": null})
        );
        assert_eq!(events[1]["message"], "Order 1");
        assert_eq!(events[1]["site"], "Shop");

        let events = stack
            .events("Order.objects.bulk_create([Order(number=f'B{i}') for i in range(3)])")
            .await;
        expect(
            &events,
            &[
                ("Order created", json!(2)),
                ("Order created", json!(3)),
                ("Order created", json!(4)),
            ],
        );

        let events = stack
            .events("Order.objects.filter(number__startswith='B').order_by('id').update(status='sent')")
            .await;
        let mut keys: Vec<_> = events.iter().map(|event| event["pk"].as_i64().unwrap()).collect();
        keys.sort_unstable();
        assert_eq!(keys, [2, 3, 4]);

        let events = stack
            .events("os = list(Order.objects.filter(id__in=[2, 3]).order_by('id'))\nfor x in os: x.total = 5\nOrder.objects.bulk_update(os, ['total'])")
            .await;
        assert_eq!(events.len(), 2, "{events:#?}");

        let events = stack
            .events("Order.objects.get_or_create(number='A1')\nOrder.objects.get_or_create(number='C1')")
            .await;
        expect(&events, &[("Order created", json!(5))]);

        let events = stack
            .events(
                "from django.db import transaction\n\
                 with transaction.atomic():\n    Order.objects.filter(id=5).update(status='in')\n    try:\n        with transaction.atomic():\n            Order.objects.filter(id=5).update(status='lost')\n            raise ValueError\n    except ValueError: pass\n    with transaction.atomic():\n        x = Order.objects.select_for_update().get(id=5)\n        x.status = 'kept'\n        x.save()\n\
                 try:\n    with transaction.atomic():\n        Order.objects.create(number='never')\n        raise ValueError\nexcept ValueError: pass",
            )
            .await;
        let states: Vec<_> = events.iter().map(|event| event["data"]["status"].clone()).collect();
        assert_eq!(states, ["in", "kept"]);

        let events = stack
            .events("o = Order.objects.get(id=1)\na, b = Tag.objects.create(name='a'), Tag.objects.create(name='b')\no.tags.add(a, b)\no.tags.remove(a)\no.tags.clear()")
            .await;
        let classes: Vec<_> = events.iter().map(|event| event["event_class"].as_str().unwrap()).collect();
        assert_eq!(
            classes,
            [
                "Order_tags created",
                "Order_tags created",
                "Order_tags deleted",
                "Order_tags deleted"
            ]
        );

        let events = stack
            .events("OrderLine.objects.create(order=o, product='x')\no.delete()")
            .await;
        expect(
            &events,
            &[
                ("OrderLine created", json!(1)),
                ("OrderLine deleted", json!(1)),
                ("Order deleted", json!(1)),
            ],
        );

        let events = stack
            .events("from django.db import connection\nconnection.cursor().execute(\"update shop_order set status = 'raw' where id = 5\")")
            .await;
        expect(&events, &[("Order edited", json!(5))]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_personal_rule_reaches_its_user_alone_with_its_own_text() {
    let rules = "
[[watch]]
model = 'shop.Order'
fields = ['number', 'status', 'customer']
[[watch.rule]]
on = 'update'
changed = 'status'
when = \"row.status != 'draft'\"
target = { user = 'customer' }
event_class = 'order_status'
message = 'Your order {{ row.number }} is {{ row.status }}'
data = ['status']
";
    let mut stack = Stack::start(18, rules).await;
    let mut one = Subscriber::user(&stack.centrifugo, "1", &["#1"]).await;
    let mut two = Subscriber::user(&stack.centrifugo, "2", &["#2"]).await;
    let events = stack
        .events(
            "c, d = Customer.objects.create(name='c'), Customer.objects.create(name='d')\n\
             o = Order.objects.create(number='A1', customer=c)\np = Order.objects.create(number='B1', customer=d)\n\
             Order.objects.filter(number='A1').update(status='paid')\nOrder.objects.filter(number='B1').update(status='sent')",
        )
        .await;
    assert!(events.is_empty());
    let event = one.next(SOON).await.value();
    assert_eq!(event["message"], "Your order A1 is paid");
    assert_eq!(event["event_class"], "order_status");
    assert_eq!(event["data"], json!({"status": "paid"}));
    assert_eq!(two.next(SOON).await.value()["message"], "Your order B1 is sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_common_field_type_arrives_as_documented() {
    let fields =
        "big boolean char text date datetime decimal duration float integer json uuid ip binary time integers decimals texts";
    let fields = fields
        .split(' ')
        .map(|field| format!("'{field}'"))
        .collect::<Vec<_>>()
        .join(",");
    for version in postgres::versions() {
        let watch = format!("[[watch]]\nmodel = 'shop.Everything'\nfields = [{fields}]\n[[watch.rule]]\ntarget = 'public'\n");
        let mut stack = Stack::start(version, &watch).await;
        let events = stack
            .events(
                "import datetime as d, decimal, uuid\nutc = d.timezone.utc\n\
                 Everything.objects.create(big=9223372036854775807, boolean=True, char='é😀\"\\\\', text='x' * 5_000_000,\n\
                 date=d.date(2026, 11, 24), datetime=d.datetime(2026, 11, 24, 12, 0, 0, 123456, utc), decimal=decimal.Decimal('12.5'),\n\
                 duration=d.timedelta(days=1, hours=2, seconds=3), float=0.1, integer=-5, json={'b': 1, 'a': [1.0, None]},\n\
                 uuid=uuid.UUID(int=1), ip='10.0.0.1', binary=b'\\x01\\xff', time=d.time(1, 2, 3), integers=[1, 2],\n\
                 decimals=[decimal.Decimal('1.50')], texts=['a', 'b,\"c'])\n\
                 Everything.objects.create()",
            )
            .await;
        let mut data = events[0]["data"].clone();
        assert_eq!(
            data.as_object_mut().unwrap().remove("text").unwrap().as_str().unwrap().len(),
            5_000_000
        );
        assert_eq!(
            data,
            json!({
                "big": 9_223_372_036_854_775_807_i64, "boolean": true, "char": "é😀\"\\", "date": "2026-11-24",
                "datetime": "2026-11-24T12:00:00.123456+00:00", "decimal": "12.5000000000", "duration": "P1DT2H3S", "float": 0.1,
                "integer": -5, "json": {"a": [1.0, null], "b": 1}, "uuid": "00000000-0000-0000-0000-000000000001",
                "ip": "10.0.0.1", "binary": "\\x01ff", "time": "01:02:03", "integers": [1, 2], "decimals": ["1.50"],
                "texts": ["a", "b,\"c"]
            }),
            "PostgreSQL {version}"
        );
        assert!(events[1]["data"].as_object().unwrap().values().all(Value::is_null));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_every_kind_and_tables_of_odd_names_are_told_apart() {
    let watches = "
[[watch]]
model = 'shop.Ticket'
[[watch.rule]]
target = 'public'
[[watch]]
model = 'shop.Stock'
[[watch.rule]]
target = 'public'
[[watch]]
table = \"\\\"Legacy Ord'ers.V2\\\"\"
fields = [\"The Label's\", 'OwnerRef']
[[watch.rule]]
target = 'public'
";
    let mut stack = Stack::start(15, watches).await;
    let events = stack
        .events(
            "import uuid\nTicket.objects.create(id=uuid.UUID(int=7), title='t')\nStock.objects.create(warehouse=1, product='x y')\n\
             Stock.objects.filter(warehouse=1).update(amount=3)\nLegacy.objects.create(label='l')",
        )
        .await;
    let keys: Vec<_> = events.iter().map(|event| event["pk"].clone()).collect();
    assert_eq!(
        keys,
        [
            json!("00000000-0000-0000-0000-000000000007"),
            json!([1, "x y"]),
            json!([1, "x y"]),
            json!(1)
        ]
    );
    assert_eq!(events[3]["data"], json!({"The Label's": "l", "OwnerRef": null}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flush_is_one_event_for_those_who_ask_for_truncate() {
    let watches = "
[[watch]]
model = 'shop.Order'
fields = ['number']
[[watch.rule]]
on = ['insert', 'truncate']
target = 'public'
";
    for version in postgres::versions() {
        let mut stack = Stack::start(version, watches).await;
        let events = stack
            .events("Order.objects.create(number='A1')\nfrom django.core.management import call_command\ncall_command('flush', interactive=False, verbosity=0)")
            .await;
        expect(&events, &[("Order created", json!(1)), ("Order truncated", Value::Null)]);
        assert_eq!(events[1]["data"], json!({}));
    }
}
