//! A row's path through the mapping: its time and allocations, for each kind of rule.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing benchmark panics")]

use divan::{AllocProfiler, Bencher, black_box};
use instant::capture::watch::{Column, Destination, Encoding, Lookup, Relation, Rule, Watch};
use instant::change::{Change, Operation, Operations};
use instant::config::{self, Config, Source};
use instant::mapping::{Found, LookupId, Mapping, RelatedRows};
use jiff::Timestamp;
use serde_json::value::RawValue;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

/// An order's row, as PostgreSQL sends it.
const NEW: &str = r#"{"id" : 17, "status" : "paid", "total" : "12.50", "customer_id" : 42}"#;
const OLD: &str = r#"{"customer_id" : 42}"#;

const RULES: [(&str, &str); 6] = [
    (
        "constants",
        "target = 'staff'\nevent_class = 'order'\nmessage = 'An order has changed'",
    ),
    (
        "a user target",
        "target = { user = 'customer_id' }\nevent_class = 'order'\nmessage = 'An order has changed'",
    ),
    ("defaults", "target = 'staff'"),
    (
        "two templates",
        "target = 'staff'\nevent_class = 'order_{{ row.status }}'\nmessage = 'Order {{ pk }} is {{ row.status }}'",
    ),
    (
        "a condition",
        "target = 'staff'\nwhen = \"row.status == 'paid'\"\nevent_class = 'order'\nmessage = 'An order is paid'",
    ),
    (
        "related",
        "target = 'staff'\nevent_class = 'order'\nmessage = 'Order of {{ row.customer.name }}'\ndata = ['status', 'customer.name']",
    ),
];

fn main() {
    divan::main();
}

#[divan::bench(args = RULES.map(|(name, _)| name))]
fn map(bencher: Bencher, name: &str) {
    let (_, rule) = RULES.iter().find(|(known, _)| *known == name).unwrap();
    let mapping = mapping(rule);
    let customer = Customer([RawValue::from_string("\"Ada\"".to_owned()).unwrap()]);
    let change = Change {
        id: 4_711,
        at: Timestamp::from_microsecond(1_764_115_200_123_456).unwrap(),
        source: "public.shop_order",
        operation: Operation::Update,
        old: Some(OLD),
        new: Some(NEW),
    };
    let mut outcomes = Vec::with_capacity(1);
    bencher.bench_local(|| {
        outcomes.clear();
        mapping.map(black_box(&change), &customer, &mut outcomes);
        assert!(outcomes.iter().all(Result::is_ok) && outcomes.len() == 1);
    });
}

/// The customer row of every order.
#[derive(Debug)]
struct Customer([Box<RawValue>; 1]);

impl RelatedRows for Customer {
    fn row(&self, _: LookupId, _: &str) -> Found<'_> {
        Found::Row(&self.0)
    }
}

fn mapping(rule: &str) -> Mapping {
    let text = format!(
        "site = 'Shop'\n[database]\nurl = 'postgres://a'\n[[watch]]\nmodel = 'shop.Order'\nfields = ['status', 'total', 'customer_id']\n\
         related = {{ customer = ['name'] }}\n[[watch.rule]]\n{rule}\n"
    );
    let source = Source {
        path: "instant.toml".into(),
        text: text.into(),
    };
    let (config, problems) = Config::parse(source, &|_| None);
    let config = config.unwrap_or_else(|| panic!("{problems:?}"));
    let watches = [watch(&config.watches[0].rules[0])];
    Mapping::compile(&watches, config.site.as_deref(), &config.prefix).unwrap()
}

/// The watch as it would be resolved against a database.
fn watch(rule: &config::Rule) -> Watch {
    let column = |name: &str| Column {
        name: name.to_owned(),
        data_type: "text".to_owned(),
        encoding: Encoding::Plain,
    };
    Watch {
        model: "shop.Order".to_owned(),
        name: "Order".to_owned(),
        schema: "public".to_owned(),
        table: "shop_order".to_owned(),
        source: "public.shop_order".to_owned(),
        key: vec![column("id")],
        columns: ["status", "total", "customer_id"].map(column).to_vec(),
        related: vec![Relation {
            path: "customer".to_owned(),
            column: column("customer_id"),
            lookup: Lookup {
                schema: "public".to_owned(),
                table: "shop_customer".to_owned(),
                key: column("id"),
                columns: vec![column("name")],
            },
        }],
        old: vec![column("customer_id")],
        operations: Operations::ROWS,
        rules: vec![resolved(rule)],
        span: rule.span.clone(),
    }
}

fn resolved(rule: &config::Rule) -> Rule {
    let data = rule.data.as_ref();
    let data: Vec<String> = data.map_or_else(
        || ["status", "total", "customer_id"].map(str::to_owned).to_vec(),
        |names| names.iter().map(|name| name.value.clone()).collect(),
    );
    let (related_data, data) = data.into_iter().partition(|name| name.contains('.'));
    let (destination, moved_by) = match &rule.destination {
        config::Destination::User(field) => (Destination::User(field.value.clone()), vec![field.value.clone()]),
        _ => (Destination::Staff, Vec::new()),
    };
    Rule {
        on: rule.on,
        changed: Vec::new(),
        when: rule.when.clone(),
        follow: rule.follow,
        moved_by,
        destination,
        event_class: rule.event_class.clone(),
        message: rule.message.clone(),
        data,
        related_data,
        collapse: rule.collapse.clone(),
        span: rule.span.clone(),
    }
}
