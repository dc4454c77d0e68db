//! Tests of rules that read rows of other tables.

use std::collections::HashMap;

use serde_json::value::RawValue;

use super::*;
use crate::capture::watch::{Lookup, Relation};
use crate::config::Side;

/// Rows by lookup and key; the lookup `failed` fails.
#[derive(Debug, Default)]
struct Table {
    rows: HashMap<(LookupId, String), Vec<Box<RawValue>>>,
    failed: Option<LookupId>,
}

impl Table {
    fn with(mut self, lookup: usize, key: &str, values: &[&str]) -> Self {
        let values = values.iter().map(|value| RawValue::from_string((*value).to_owned()).unwrap());
        self.rows.insert((LookupId(lookup), key.to_owned()), values.collect());
        self
    }
}

impl RelatedRows for Table {
    fn row(&self, lookup: LookupId, key: &str) -> Found<'_> {
        if self.failed == Some(lookup) {
            return Found::Failed("permission denied");
        }
        let row = self.rows.get(&(lookup, key.to_owned()));
        row.map_or(Found::Missing, |values| Found::Row(values))
    }
}

fn relation(path: &str, key: &str, table: &str, columns: &[&str]) -> Relation {
    Relation {
        path: path.to_owned(),
        column: column(key),
        lookup: Lookup {
            schema: "public".to_owned(),
            table: table.to_owned(),
            key: column("id"),
            columns: columns.iter().map(|name| column(name)).collect(),
        },
    }
}

fn related(name: &str) -> Reference {
    Reference::Related(Side::Row, name.to_owned())
}

/// A watch of orders, with their customers and the customers' users.
fn orders(rules: Vec<WatchRule>) -> Watch {
    Watch {
        related: vec![
            relation("customer", "customer_id", "shop_customer", &["name", "user_id"]),
            relation("customer.user", "user_id", "auth_user", &["username"]),
        ],
        ..watch(&["id"], rules)
    }
}

fn mapped(mapping: &Mapping, change: &Change<'_>, rows: &Table) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    mapping.map(change, rows, &mut outcomes);
    outcomes
}

fn ada() -> Table {
    Table::default().with(0, "7", &["\"Ada\"", "70"]).with(1, "70", &["\"ada\""])
}

const ORDER: &str = r#"{"id":1,"status":"paid","total":"1.00","customer_id":7}"#;

#[test]
fn data_has_an_object_for_each_relation_that_it_names() {
    let mut rule = rule(Destination::Public);
    rule.data = vec!["status".into()];
    rule.related_data = vec!["customer.user.username".into(), "customer.name".into()];
    let mapping = Mapping::compile(&[orders(vec![rule.clone()])], None, "").unwrap();
    let insert = change(Operation::Insert, None, Some(ORDER));
    let outcomes = mapped(&mapping, &insert, &ada());
    assert!(
        event(&outcomes[0]).contains(r#""data":{"status":"paid","customer":{"name":"Ada","user":{"username":"ada"}}},"id""#),
        "{}",
        event(&outcomes[0])
    );
    let nobody = r#"{"id":1,"status":"paid","customer_id":null}"#;
    let outcomes = mapped(&mapping, &change(Operation::Insert, None, Some(nobody)), &ada());
    assert!(event(&outcomes[0]).contains(r#""customer":{"name":null,"user":{"username":null}}}"#));
    rule.data = Vec::new();
    rule.related_data = vec!["customer.user.username".into()];
    let mapping = Mapping::compile(&[orders(vec![rule])], None, "").unwrap();
    let outcomes = mapped(&mapping, &insert, &ada());
    assert!(event(&outcomes[0]).contains(r#""data":{"customer":{"user":{"username":"ada"}}}"#));
    // Captured before the rules needed the customer.
    let outcomes = mapped(&mapping, &change(Operation::Insert, None, Some(r#"{"id":1}"#)), &ada());
    assert!(event(&outcomes[0]).contains(r#""data":{},"#), "{}", event(&outcomes[0]));
}

#[test]
fn a_move_needs_both_customers_and_each_of_them_its_own_related_rows() {
    let mut rule = rule(Destination::Channel(template(
        "room:{{ row.customer.user.username }}",
        &[related("customer.user.username")],
    )));
    rule.moved_by = vec!["id".into(), "customer_id".into()];
    rule.on = Operations::NONE.with(Operation::Update);
    let mapping = Mapping::compile(&[orders(vec![rule])], None, "").unwrap();
    let former = ORDER.replace(":7", ":8");
    let moved = change(Operation::Update, Some(&former), Some(ORDER));
    let roots = |change: &Change<'_>| {
        let mut roots = Vec::new();
        mapping.roots(change, |relation, key| roots.push((relation.0, key.to_owned())));
        roots
    };
    assert_eq!(roots(&moved), [(0, "7".to_owned()), (0, "8".to_owned())]);
    assert!(
        roots(&change(Operation::Insert, None, Some(ORDER))).is_empty(),
        "no rule applies to it"
    );
    let rows = ada().with(0, "8", &["\"Grace\"", "80"]).with(1, "80", &["\"grace\""]);
    let children: Vec<_> = mapping.children(RelationId(0), rows.row(LookupId(0), "8")).collect();
    assert_eq!(children, [(RelationId(1), "80".into())]);
    let outcomes = mapped(&mapping, &moved, &rows);
    let channels: Vec<_> = outcomes.iter().map(|outcome| &*outcome.as_ref().unwrap().channel).collect();
    assert_eq!(channels, ["room:grace", "room:ada"]);
}

#[test]
fn a_failed_lookup_fails_only_the_rules_that_read_it() {
    let mut reading = rule(Destination::Public);
    reading.related_data = vec!["customer.user.username".into()];
    let mut personal = rule(Destination::RelatedUser("customer.user_id".into()));
    personal.data = Vec::new();
    let watch = orders(vec![reading, rule(Destination::Staff), personal]);
    let mapping = Mapping::compile(&[watch], None, "").unwrap();
    let mut rows = ada();
    rows.failed = Some(LookupId(1));
    let outcomes = mapped(&mapping, &change(Operation::Insert, None, Some(ORDER)), &rows);
    assert_eq!(
        outcomes[0].as_ref().unwrap_err().reason,
        "`customer.user` could not be looked up: permission denied"
    );
    assert_eq!(&*outcomes[1].as_ref().unwrap().channel, "staff");
    assert_eq!(&*outcomes[2].as_ref().unwrap().channel, "#70");
    let nobody = r#"{"id":1,"status":"x","total":"1","customer_id":9}"#;
    assert_eq!(
        mapped(&mapping, &change(Operation::Insert, None, Some(nobody)), &ada()).len(),
        2,
        "null reaches nobody"
    );
}

#[test]
fn watches_that_read_the_same_table_share_a_lookup_and_a_change_of_it_makes_its_row_stale() {
    let mut customers = watch(&["id"], vec![rule(Destination::Staff)]);
    (customers.source, customers.table) = ("public.shop_customer".into(), "shop_customer".into());
    let mut invoices = watch(&["id"], vec![rule(Destination::Staff)]);
    (invoices.source, invoices.table) = ("public.invoice".into(), "invoice".into());
    invoices.related = vec![relation("payer", "customer_id", "shop_customer", &["email", "name"])];
    let mapping = Mapping::compile(&[orders(vec![rule(Destination::Staff)]), invoices, customers], None, "").unwrap();
    let tables: Vec<_> = mapping
        .lookups()
        .iter()
        .map(|lookup| (lookup.table.as_str(), lookup.columns.len()))
        .collect();
    assert_eq!(tables, [("shop_customer", 3), ("auth_user", 1)]);
    let stale = |change: &Change<'_>| {
        let mut stale = Vec::new();
        mapping.stale(change, |lookup, key| stale.push((lookup.0, key.map(str::to_owned))));
        stale
    };
    let of = |operation, old, new| Change {
        source: "public.shop_customer",
        ..change(operation, old, new)
    };
    let row = r#"{"id":7,"status":"x"}"#;
    assert_eq!(stale(&of(Operation::Update, None, Some(row))), [(0, Some("7".to_owned()))]);
    assert_eq!(stale(&of(Operation::Delete, Some(row), None)), [(0, Some("7".to_owned()))]);
    assert_eq!(stale(&of(Operation::Truncate, None, None)), [(0, None)]);
    assert!(stale(&change(Operation::Insert, None, Some(ORDER))).is_empty());
}
