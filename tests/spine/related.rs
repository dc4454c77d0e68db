//! Rows that a changed row leads to: the customer of an order, and the user of that customer.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Stack, write_config};
use crate::support::client::{Publication, Subscriber};
use crate::support::django::Django;
use crate::support::postgres::{self, Cluster};
use crate::support::process::Process;
use crate::support::wait::{SOON, eventually};

const RELATED: &str = "
[[watch]]
model = 'shop.Order'
fields = ['number']
related = { customer = ['name', 'user'], 'customer.user' = ['username'] }
[[watch.rule]]
target = 'public'
message = '{{ row.customer.name }} {{ row.customer.user.username }}'
data = ['number', 'customer.name', 'customer.user.username']
[[watch.rule]]
channel = 'room:{{ row.customer.name }}'
event_class = 'room'
data = []
[[watch.rule]]
target = { user = 'customer.user' }
event_class = 'personal'
[[watch.rule]]
target = { group = '{{ row.customer.user.username }}' }
when = \"row.customer.name == 'Ada'\"
event_class = 'group'
";

/// A rule whose message contains the customer's name.
const NAMES: &str = "
[[watch]]
model = 'shop.Order'
fields = ['number', 'status']
related = { customer = ['name'] }
[[watch.rule]]
target = 'public'
message = '{{ row.customer.name }}'
data = ['number']
";

const WATCHED_CUSTOMER: &str = "
[[watch]]
model = 'shop.Customer'
fields = ['name']
[[watch.rule]]
channel = 'room:customers'
";

/// An order of a customer with a log-in.
const ADA: &str = "from django.contrib.auth.models import User\n\
    u = User.objects.create(username='ada')\nc = Customer.objects.create(name='Ada', user=u)\n";

fn messages(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["message"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn related_values_stand_in_messages_and_data_and_choose_channel_target_and_rule() {
    for version in postgres::versions() {
        let mut stack = Stack::start(version, RELATED).await;
        let mut room = Subscriber::anonymous(&stack.centrifugo, &["room:Ada", "room:None"]).await;
        let mut user = Subscriber::user(&stack.centrifugo, "1", &["#1"]).await;
        let mut group = Subscriber::anonymous(&stack.centrifugo, &["group.ada", "group.None"]).await;
        let orders = "o = Order.objects.create(number='A1', customer=c)\nn = Order.objects.create(number='N1')\n\
                      o.delete()";
        let events = stack.events(&format!("{ADA}{orders}")).await;
        assert_eq!(messages(&events), ["Ada ada", "None None", "Ada ada"]);
        let ada = json!({"number": "A1", "customer": {"name": "Ada", "user": {"username": "ada"}}});
        let nobody = json!({"number": "N1", "customer": {"name": null, "user": {"username": null}}});
        assert_eq!((&events[0]["data"], &events[1]["data"]), (&ada, &nobody));
        assert!(
            events[0].to_string().contains(r#""customer":{"name":"Ada","user""#),
            "no more than is named"
        );
        let channels = |publications: Vec<Publication>| publications.into_iter().map(|told| told.channel).collect::<Vec<_>>();
        let mut rooms = channels(room.take(3, SOON).await);
        rooms.sort();
        assert_eq!(rooms, ["room:Ada", "room:Ada", "room:None"]);
        let personal = user.take(2, SOON).await;
        assert_eq!(personal[0].value()["data"], json!({"number": "A1"}), "data names what leaves");
        assert_eq!(
            channels(group.take(2, SOON).await),
            ["group.ada", "group.ada"],
            "null is not 'Ada'"
        );
        let lost = stack.count("select count(*) from instant.dead_letter").await;
        assert_eq!(lost, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_gone_gives_null() {
    // Only the delete reads the customer, so that none is remembered.
    let rules = RELATED.replacen("target = 'public'", "target = 'public'\non = 'delete'", 1);
    let mut stack = Stack::start(18, rules.split("[[watch.rule]]\nchannel").next().unwrap()).await;
    let events = stack
        .events(&format!("{ADA}Order.objects.create(number='A1', customer=c)\nc.delete()"))
        .await;
    assert_eq!(messages(&events), ["None None"]);
    assert_eq!(
        events[0]["data"]["customer"],
        json!({"name": null, "user": {"username": null}})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_without_a_foreign_key_is_named_with_its_key_and_a_key_of_another_type_finds_nothing() {
    let rules = "
[[watch]]
model = 'shop.Order'
[watch.related]
land = { column = 'status', table = 'shop_country', key = 'code', fields = ['name'] }
tag = { column = 'number', table = 'shop_tag', fields = ['name'] }
[[watch.rule]]
target = 'public'
message = '{{ row.land.name }} {{ row.tag.name }}'
[[watch]]
table = \"\\\"Legacy Ord'ers.V2\\\"\"
[watch.related]
owner = { column = 'OwnerRef', fields = ['name'] }
[[watch.rule]]
target = 'public'
message = '{{ row.owner.name }}'
";
    for version in postgres::versions() {
        let mut stack = Stack::start(version, rules).await;
        let code = "
from django.db import transaction
Country.objects.create(code='nl', name='Netherlands')
Tag.objects.create(name='new')
with transaction.atomic():
    for number, land in [('1', 'nl'), ('x\"{}\\\\', 'nl'), ('2', 'de'), ('99999999999999999999', '')]:
        Order.objects.create(number=number, status=land)
Legacy.objects.create(label='x', owner=Customer.objects.create(name='Ada'))";
        let events = stack.events(code).await;
        let told: Vec<_> = messages(&events)
            .into_iter()
            .filter(|message| !message.starts_with("Country"))
            .collect();
        assert_eq!(told, ["Netherlands new", "Netherlands None", "None None", "None None", "Ada"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_all_of_another_type_cost_no_query_each_and_end_as_dead_letters() {
    let rules = "
[[watch]]
model = 'shop.Order'
[watch.related]
tag = { column = 'number', table = 'shop_tag', fields = ['name'] }
[[watch.rule]]
target = 'public'
message = '{{ row.tag.name }}'
";
    let cluster = Cluster::start_new(18, &["log_statement=all"]).await;
    let mut stack = Stack::on(Django::new(&cluster).await, rules).await;
    let code = "Tag.objects.create(name='new')\n\
                Order.objects.bulk_create([Order(number=f'x{i}') for i in range(500)])";
    assert!(stack.events(code).await.is_empty());
    let parked =
        "select count(*) from instant.dead_letter where reason like '`tag` could not be looked up: invalid input syntax%'";
    eventually(SOON, "the dead letters", async || {
        (stack.count(parked).await == 500).then_some(())
    })
    .await;
    let queries = cluster.log().matches("from \"public\".\"shop_tag\"").count();
    assert!(queries < 500, "{queries} queries");
    assert_eq!(messages(&stack.events("Order.objects.create(number='1')").await), ["new"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_customer_is_shown_by_its_new_name_at_once_where_its_table_is_watched() {
    for version in postgres::versions() {
        let mut stack = Stack::start(version, &format!("{NAMES}{WATCHED_CUSTOMER}")).await;
        let events = stack
            .events(
                "c = Customer.objects.create(name='Ada')\no = Order.objects.create(number='1', customer=c)\n\
                 Customer.objects.update(name='Grace')\no.number = '2'; o.save()",
            )
            .await;
        assert_eq!(messages(&events)[1..], ["Grace"]);
        let events = stack
            .events("Customer.objects.update(name='Joan')\no.number = '3'; o.save()")
            .await;
        assert_eq!(messages(&events), ["Joan"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_customer_is_shown_by_its_new_name_after_a_while_where_nothing_watches_it() {
    let mut stack = Stack::start(18, &format!("[related]\nttl = '1s'\n{NAMES}")).await;
    stack
        .events("c = Customer.objects.create(name='Ada')\no = Order.objects.create(number='0', customer=c)")
        .await;
    stack.django.run("Customer.objects.update(name='Grace')\ni = 0").await;
    let end = std::time::Instant::now() + SOON;
    loop {
        let events = stack.events("i += 1\no.number = str(i); o.save()").await;
        match messages(&events)[0] {
            "Grace" => break,
            name => assert_eq!(name, "Ada"),
        }
        assert!(std::time::Instant::now() < end, "the old name is remembered for ever");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_changes_over_a_thousand_customers_cost_a_handful_of_queries() {
    let cluster = Cluster::start_new(18, &["log_statement=all"]).await;
    let rules = NAMES.replace(
        "target = 'public'",
        "target = 'public'\nwhen = \"row.customer.name == 'c7' and row.status == 'x'\"",
    );
    let mut stack = Stack::on(Django::new(&cluster).await, &rules).await;
    let client = stack.django.database.connect().await;
    client
        .batch_execute(
            "insert into shop_customer (name, email) select 'c' || i, '' from generate_series(1, 1000) as i;
             insert into shop_order (number, status, total, customer_id, notes)
             select i, case i when 99007 then 'x' else 'new' end, 0, 1 + (i - 1) % 1000, '' from generate_series(1, 100000) as i",
        )
        .await
        .unwrap();
    let event = stack.public.next(Duration::from_mins(2)).await.value();
    assert_eq!(event["message"], "c7");
    let log = cluster.log();
    let queries = log
        .lines()
        .filter(|line| line.contains("execute") && line.contains("from \"public\".\"shop_customer\""))
        .count();
    assert!((1..=5).contains(&queries), "{queries} queries");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_goes_to_another_customer_leaves_the_room_of_the_former_one() {
    let rules = "
[[watch]]
model = 'shop.Order'
related = { customer = ['name'] }
[[watch.rule]]
channel = 'room:{{ row.customer.name }}'
[[watch.rule]]
target = 'public'
on = 'update'
message = '{{ old.customer.name }} {{ row.customer.name }}'
";
    let mut stack = Stack::start(15, rules).await;
    let mut rooms = Subscriber::anonymous(&stack.centrifugo, &["room:a", "room:b"]).await;
    let events = stack
        .events(
            "a = Customer.objects.create(name='a'); b = Customer.objects.create(name='b')\n\
             o = Order.objects.create(number='1', customer=a)\no.customer = b; o.save()",
        )
        .await;
    assert_eq!(messages(&events), ["a b"]);
    let heard = rooms.take(3, SOON).await;
    let mut heard: Vec<_> = heard
        .iter()
        .map(|told| {
            (
                told.channel.as_str(),
                told.value()["event_class"].as_str().unwrap().to_owned(),
            )
        })
        .collect();
    // Two channels have no order between them.
    heard.sort();
    let classes: Vec<_> = heard.iter().map(|(channel, class)| (*channel, class.as_str())).collect();
    assert_eq!(
        classes,
        [
            ("room:a", "Order created"),
            ("room:a", "Order left"),
            ("room:b", "Order edited")
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_relays_role_may_read_what_related_names_and_nothing_else_and_a_refusal_stops_no_other_rule() {
    for version in postgres::versions() {
        let rules = format!("{NAMES}[[watch.rule]]\nchannel = 'room:all'\n");
        let mut stack = Stack::start(version, &rules).await;
        let database = &stack.django.database;
        let role = format!("relay_of_{}", database.name);
        let (url, client) = (database.url_as(&role), database.connect().await);
        client.batch_execute(&format!("create role {role} login")).await.unwrap();
        let path = stack.folder.path().join("instant.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.replacen("[database]\n", &format!("[database]\nrelay_role = '{role}'\n"), 1);
        std::fs::write(path, text).unwrap();
        let grant = format!("grant select (\"id\", \"name\") on \"public\".\"shop_customer\" to \"{role}\"");
        let plan = stack.command(&["plan"], 3).await;
        assert!(plan.contains(&grant), "{plan}");
        assert!(stack.command(&["sql"], 0).await.contains(&grant));
        stack.command(&["apply"], 0).await;
        stack.command(&["plan"], 0).await;
        let as_relay = postgres::connect(&url).await;
        as_relay.batch_execute("select id, name from shop_customer").await.unwrap();
        as_relay.batch_execute("select email from shop_customer").await.unwrap_err();
        stack.relay.signal("TERM").await;
        stack.relay.wait(SOON).await;
        stack.relay = Process::instant(stack.folder.path(), &["run", "--database-url", &url], &[]);
        stack.relay.line("leading", SOON).await;
        let code = "c = Customer.objects.create(name='Ada')\nOrder.objects.create(number='1', customer=c)";
        assert_eq!(messages(&stack.events(code).await), ["Ada"]);

        client
            .batch_execute(&format!("revoke select (name) on shop_customer from {role}"))
            .await
            .unwrap();
        let mut all = Subscriber::anonymous(&stack.centrifugo, &["room:all"]).await;
        let code = "d = Customer.objects.create(name='Grace')\nOrder.objects.create(number='2', customer=d)";
        assert!(stack.events(code).await.is_empty());
        assert_eq!(all.next(SOON).await.value()["data"]["number"], "2");
        let refused = "select count(*) from instant.dead_letter
                       where reason = '`customer` could not be looked up: permission denied for table shop_customer (42501)'";
        eventually(SOON, "the dead letter", async || {
            (stack.count(refused).await == 1).then_some(())
        })
        .await;
        stack.command(&["dead", "retry", "--all", "--database-url", &url], 1).await;
        stack.command(&["apply"], 0).await;
        stack.command(&["dead", "retry", "--all", "--database-url", &url], 0).await;
        assert_eq!(stack.public.next(SOON).await.value()["message"], "Grace");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_under_an_exclusive_lock_is_waited_for() {
    let rules = "
[[watch]]
model = 'shop.Order'
[watch.related]
land = { column = 'status', table = 'shop_country', fields = ['name'] }
[[watch.rule]]
target = 'public'
message = '{{ row.land.name }}'
";
    let mut stack = Stack::start(15, rules).await;
    stack.events("Country.objects.create(code='nl', name='Netherlands')").await;
    let mut client = stack.django.database.connect().await;
    let lock = client.transaction().await.unwrap();
    lock.batch_execute("lock table shop_country in access exclusive mode")
        .await
        .unwrap();
    stack.django.run("Order.objects.create(number='1', status='nl')").await;
    stack
        .relay
        .line("`public.shop_country` is locked; waiting for it", SOON)
        .await;
    lock.rollback().await.unwrap();
    assert_eq!(stack.public.next(SOON).await.value()["message"], "Netherlands");
}

#[tokio::test(flavor = "multi_thread")]
async fn replays_and_new_rules_read_related_rows_too() {
    let mut stack = Stack::start(18, NAMES).await;
    let code = "c = Customer.objects.create(name='Ada', email='ada@example.com')\nOrder.objects.create(number='1', customer=c)";
    assert_eq!(messages(&stack.events(code).await), ["Ada"]);
    stack.settled().await;
    stack.command(&["replay", "--since", "1h", "--model", "shop.Order"], 0).await;
    assert_eq!(messages(&stack.events("pass").await), ["Ada"]);
    let text = NAMES
        .replace("['name']", "['name', 'email']")
        .replace("row.customer.name", "row.customer.email");
    write_config(&stack.folder, &stack.django, &stack.centrifugo, &text);
    stack.relay.signal("HUP").await;
    stack.relay.line("the rules were read again", SOON).await;
    let events = stack.events("Order.objects.create(number='2', customer=c)").await;
    assert_eq!(messages(&events), ["ada@example.com"]);
}
