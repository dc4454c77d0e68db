//! From a saved row to a browser: Django, PostgreSQL, the triggers, the relay, Centrifugo and a WebSocket client, all real.

use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::centrifugo::Centrifugo;
use crate::support::client::Subscriber;
use crate::support::django::Django;
use crate::support::postgres;
use crate::support::process::{Process, instant};
use crate::support::wait::SOON;

/// Every part, with a subscriber to `public`.
struct Stack {
    django: Django,
    centrifugo: Centrifugo,
    relay: Process,
    public: Subscriber,
    folder: TempDir,
}

impl Stack {
    /// Applies and runs `watches`.
    async fn start(version: u32, watches: &str) -> Self {
        let django = Django::on(version).await;
        let centrifugo = Centrifugo::start_new().await;
        let public = Subscriber::anonymous(&centrifugo, &["public"]).await;
        let folder = tempfile::tempdir().unwrap();
        write_config(&folder, &django, &centrifugo, watches);
        let applied = instant(folder.path(), &["apply"], &[]).await;
        assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
        let relay = Process::instant(folder.path(), &["run", "--events"], &[]);
        relay.line("leading", SOON).await;
        Self {
            django,
            centrifugo,
            relay,
            public,
            folder,
        }
    }

    /// The events that `code` makes, up to the one of the marker that is saved after it.
    async fn events(&mut self, code: &str) -> Vec<Value> {
        self.django.run(code).await;
        self.django
            .run("Country.objects.create(code='marker', name='')\nCountry.objects.filter(code='marker').delete()")
            .await;
        let mut events = Vec::new();
        loop {
            let event = self.public.next(SOON).await.value();
            match (event["pk"] == "marker", event["op"] == "delete") {
                (true, true) => return events,
                (true, false) => {}
                (false, _) => events.push(event),
            }
        }
    }

    /// A number that the database tells.
    async fn count(&self, query: &str) -> i64 {
        self.django
            .database
            .connect()
            .await
            .query_one(query, &[])
            .await
            .unwrap()
            .get(0)
    }
}

fn write_config(folder: &TempDir, django: &Django, centrifugo: &Centrifugo, watches: &str) {
    let config = format!(
        "site = 'Shop'\n[database]\nurl = '{}'\n[centrifugo]\nurl = '{}'\napi_key = '{}'\n\
         [[watch]]\nmodel = 'shop.Country'\n[[watch.rule]]\ntarget = 'public'\n{watches}",
        django.database.url, centrifugo.url, centrifugo.api_key
    );
    std::fs::write(folder.path().join("instant.toml"), config).unwrap();
}

/// Operation and key of each event.
fn summary(events: &[Value]) -> Vec<(String, Value)> {
    events
        .iter()
        .map(|event| (event["event_class"].as_str().unwrap().to_owned(), event["pk"].clone()))
        .collect()
}

fn expect(events: &[Value], expected: &[(&str, Value)]) {
    let expected: Vec<_> = expected.iter().map(|(class, pk)| ((*class).to_owned(), pk.clone())).collect();
    assert_eq!(summary(events), expected, "{events:#?}");
}

const ORDERS: &str = "
[[watch]]
model = 'shop.Order'
fields = ['number', 'status', 'total', 'customer']
[[watch.rule]]
target = 'public'
[[watch]]
model = 'shop.OrderLine'
[[watch.rule]]
target = 'public'
[[watch]]
model = 'shop.Order.tags'
fields = ['order', 'tag']
[[watch.rule]]
target = 'public'
";

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
async fn a_rule_that_fails_and_a_channel_that_is_refused_are_parked_and_stop_nothing() {
    let watches = "
[[watch]]
model = 'shop.Tag'
fields = ['name']
[[watch.rule]]
target = 'public'
message = '{{ row.name.nothing.there }}'
[[watch.rule]]
channel = 'nowhere:{{ pk }}'
[[watch.rule]]
target = 'public'
";
    let mut stack = Stack::start(15, watches).await;
    let events = stack.events("Tag.objects.create(name='a')").await;
    expect(&events, &[("Tag created", json!(1))]);
    stack.relay.line("parked: unknown channel", SOON).await;
    let count = "select count(*) from instant.dead_letter";
    crate::support::wait::eventually(SOON, "two dead letters", async || {
        (stack.count(count).await == 2).then_some(())
    })
    .await;
    let client = stack.django.database.connect().await;
    let rows = client
        .query(
            "select rule, code, reason, event is null, new is null from instant.dead_letter order by rule",
            &[],
        )
        .await
        .unwrap();
    let (failed, refused) = (&rows[0], &rows[1]);
    assert!(
        failed.get::<_, &str>(2).starts_with("message: undefined value"),
        "{}",
        failed.get::<_, &str>(2)
    );
    assert!(failed.get::<_, bool>(3) && !failed.get::<_, bool>(4));
    assert_eq!(
        (refused.get::<_, Option<i32>>(1), refused.get::<_, bool>(3)),
        (Some(102), false)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_while_centrifugo_or_the_relay_is_down_arrives_afterwards() {
    let mut stack = Stack::start(15, ORDERS).await;
    stack.centrifugo.stop().await;
    stack
        .django
        .run("Order.objects.bulk_create([Order(number=str(i)) for i in range(50)])")
        .await;
    stack.relay.line("Centrifugo cannot be reached", SOON).await;
    stack.centrifugo.start().await;
    stack.public = Subscriber::anonymous(&stack.centrifugo, &["public"]).await;
    // The marker comes after whatever the subscriber was too late for.
    stack.events("pass").await;
    stack.relay.signal("TERM").await;
    assert!(stack.relay.wait(SOON).await.success(), "{}", stack.relay.output());
    stack.django.run("Order.objects.create(number='meanwhile')").await;
    stack.relay = Process::instant(stack.folder.path(), &["run", "--events"], &[]);
    let event = stack.public.next(SOON).await.value();
    assert_eq!(event["data"]["number"], "meanwhile");
    assert_eq!(stack.count("select count(*) from instant.dead_letter").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_reads_the_rules_again_and_refuses_a_broken_file() {
    let mut stack = Stack::start(15, "").await;
    write_config(
        &stack.folder,
        &stack.django,
        &stack.centrifugo,
        "[[watch]]\nmodel = 'shop.Nothing'\n",
    );
    stack.relay.signal("HUP").await;
    stack.relay.line("the new rules are refused", SOON).await;
    assert!(stack.events("pass").await.is_empty());
    write_config(&stack.folder, &stack.django, &stack.centrifugo, "");
    let toml = std::fs::read_to_string(stack.folder.path().join("instant.toml")).unwrap();
    std::fs::write(
        stack.folder.path().join("instant.toml"),
        format!("{toml}event_class = 'country'\n"),
    )
    .unwrap();
    stack.relay.signal("HUP").await;
    stack.relay.line("the rules were read again", SOON).await;
    stack.django.run("Country.objects.create(code='FR', name='France')").await;
    assert_eq!(stack.public.next(SOON).await.value()["event_class"], "country");
}

#[tokio::test(flavor = "multi_thread")]
async fn apply_twice_changes_nothing_plan_sees_drift_and_remove_leaves_nothing() {
    for version in postgres::versions() {
        let stack = Stack::start(version, ORDERS).await;
        let run = async |arguments: &[&str]| instant(stack.folder.path(), arguments, &[]).await;
        let again = run(&["apply"]).await;
        assert!(String::from_utf8_lossy(&again.stdout).starts_with("nothing to do"));
        assert_eq!(run(&["plan"]).await.status.code(), Some(0));
        let client = stack.django.database.connect().await;
        client
            .batch_execute(
                "alter table shop_order disable trigger \"!instant\";
                 drop trigger \"!instant\" on shop_orderline;
                 alter function instant.capture_public_shop_country() reset all",
            )
            .await
            .unwrap();
        let drift = run(&["plan"]).await;
        assert_eq!(drift.status.code(), Some(3));
        let drift = String::from_utf8_lossy(&drift.stdout).into_owned();
        for text in [
            "shop_order\n",
            "it is disabled",
            "shop_orderline\n",
            "it is not there",
            "its settings were changed",
        ] {
            assert!(drift.contains(text), "{text} in {drift}");
        }
        run(&["apply"]).await;
        assert_eq!(run(&["plan"]).await.status.code(), Some(0));
        assert!(run(&["remove", "--yes"]).await.status.success());
        let left = "select count(*) from (select tgname::text from pg_trigger where tgname like '!instant%'
                    union all select nspname::text from pg_namespace where nspname = 'instant') as ours";
        assert_eq!(stack.count(left).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watched_write_never_fails_whatever_happens_to_columns_or_to_the_outbox() {
    for version in postgres::versions() {
        let mut stack = Stack::start(version, ORDERS).await;
        let writer = stack.django.another();
        let pooled = stack.django.database.connect().await;
        let write = "insert into shop_order (number, status, total, notes) values ('W', 'new', 1.50, '')";
        pooled.batch_execute(write).await.unwrap();
        let admin = stack.django.database.connect().await;
        for change in [
            "alter table shop_order rename column number to no",
            "alter table shop_order alter column no type text",
            "alter table shop_order add column extra integer",
        ] {
            admin.batch_execute(change).await.unwrap();
            let write = write.replace("(number", "(no");
            pooled.batch_execute(&write).await.unwrap();
        }
        admin
            .batch_execute("alter table shop_order rename column no to number")
            .await
            .unwrap();
        for (fault, mend) in [
            (
                "alter table instant.outbox rename column source to origin",
                "alter table instant.outbox rename column origin to source",
            ),
            (
                "alter table instant.outbox add constraint never check (false) not valid",
                "alter table instant.outbox drop constraint never",
            ),
            (
                "alter table instant.outbox rename to gone",
                "alter table instant.gone rename to outbox",
            ),
            ("begin; lock table instant.outbox in access exclusive mode", "rollback"),
        ] {
            admin.batch_execute(fault).await.unwrap();
            pooled.batch_execute(write).await.unwrap();
            admin.batch_execute(mend).await.unwrap();
        }
        assert_eq!(
            stack.count("select last_value from instant.lost").await,
            3,
            "lost, counted from 0"
        );
        assert_eq!(stack.count("select count(*) from shop_order").await, 8);
        writer.run("Order.objects.create(number='after')").await;
        let numbers: Vec<_> = stack
            .public
            .take(5, SOON)
            .await
            .iter()
            .map(|event| event.value()["data"]["number"].clone())
            .collect();
        assert_eq!(numbers.last().unwrap(), "after", "{numbers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_giant_transaction_passes_in_bounded_memory() {
    let mut stack = Stack::start(15, ORDERS).await;
    let client = stack.django.database.connect().await;
    client
        .batch_execute(
            "insert into shop_order (number, status, total, notes) select i, 'new', i, '' from generate_series(1, 100000) as i",
        )
        .await
        .unwrap();
    for number in 1..=100_000 {
        let event = stack.public.next(Duration::from_mins(1)).await.value();
        assert_eq!(event["data"]["number"], number.to_string());
    }
    let peak = stack.relay.peak_memory();
    assert!(peak < 64 << 20, "the relay held {peak} bytes");
}
