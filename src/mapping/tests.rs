mod collapse;
mod moves;
mod related;

use super::*;
use crate::capture::watch::{Column, Destination, Encoding, Rule as WatchRule};
use crate::change::Operations;
use crate::config::{Expression, Reference, Template};

fn column(name: &str) -> Column {
    Column {
        name: name.to_owned(),
        data_type: "text".to_owned(),
        encoding: Encoding::Plain,
    }
}

fn template(text: &str, references: &[Reference]) -> Template {
    Template {
        text: text.to_owned(),
        span: 0..0,
        references: references.to_vec(),
    }
}

fn row(name: &str) -> Reference {
    Reference::Row(name.to_owned())
}

fn rule(destination: Destination) -> WatchRule {
    WatchRule {
        on: Operations::ROWS,
        changed: Vec::new(),
        when: None,
        follow: false,
        moved_by: Vec::new(),
        destination,
        event_class: None,
        message: None,
        data: vec!["status".to_owned(), "total".to_owned()],
        related_data: Vec::new(),
        collapse: None,
        span: 0..0,
    }
}

fn watch(key: &[&str], rules: Vec<WatchRule>) -> Watch {
    Watch {
        model: "shop.Order".to_owned(),
        name: "Order".to_owned(),
        schema: "public".to_owned(),
        table: "shop_order".to_owned(),
        source: "public.shop_order".to_owned(),
        key: key.iter().map(|name| column(name)).collect(),
        columns: ["status", "total", "customer_id"].map(column).to_vec(),
        related: Vec::new(),
        old: Vec::new(),
        operations: Operations::ROWS,
        rules,
        span: 0..0,
    }
}

fn change<'a>(operation: Operation, old: Option<&'a str>, new: Option<&'a str>) -> Change<'a> {
    let at = Timestamp::from_microsecond(1_795_521_600_123_456).unwrap();
    Change {
        id: 1042,
        at,
        source: "public.shop_order",
        operation,
        old,
        new,
    }
}

fn map(watch: Watch, change: &Change<'_>) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    Mapping::compile(&[watch], Some("Shop"), "")
        .unwrap()
        .map(change, &NoRelatedRows, &mut outcomes);
    outcomes
}

fn event(outcome: &Outcome) -> &str {
    std::str::from_utf8(&outcome.as_ref().unwrap().event).unwrap()
}

const ROW: &str = r#"{"id":17,"status":"paid","total":"12.50","customer_id":9007199254740993}"#;

#[test]
fn the_default_rule_gives_the_event_of_the_design() {
    let outcomes = map(
        watch(&["id"], vec![rule(Destination::Staff)]),
        &change(Operation::Update, None, Some(ROW)),
    );
    assert_eq!(
        event(&outcomes[0]),
        r#"{"event_class":"Order edited","message":"Order 17","channel":"staff","site":"Shop","data":{"status":"paid","total":"12.50"},"id":"1042-6610473297240-1","at":"2026-11-24T12:00:00.123Z","model":"shop.Order","op":"update","pk":17}"#
    );
}

#[test]
fn templates_read_the_row_and_conditions_choose() {
    let mut narrow = rule(Destination::Channel(template(
        "order:{{ pk }}",
        &[Reference::Variable("pk".into())],
    )));
    narrow.when = Some(Expression {
        text: "row.status != 'draft'".into(),
        span: 0..0,
        references: vec![row("status")],
    });
    narrow.message = Some(template(
        "{{ row.customer_id }} {{ verb }} {{ row.total }}",
        &[row("customer_id"), row("total")],
    ));
    let watch = || watch(&["id"], vec![narrow.clone()]);
    let outcomes = map(watch(), &change(Operation::Insert, None, Some(ROW)));
    assert_eq!(&*outcomes[0].as_ref().unwrap().channel, "order:17");
    assert!(event(&outcomes[0]).contains(r#""message":"9007199254740993 created 12.50""#));
    assert!(
        map(
            watch(),
            &change(Operation::Insert, None, Some(r#"{"id":1,"status":"draft"}"#))
        )
        .is_empty()
    );
}

#[test]
fn a_personal_target_is_the_users_channel_and_a_null_reaches_nobody() {
    let personal = || watch(&["id"], vec![rule(Destination::User("customer_id".into()))]);
    let outcomes = map(personal(), &change(Operation::Insert, None, Some(ROW)));
    assert_eq!(&*outcomes[0].as_ref().unwrap().channel, "#9007199254740993");
    assert!(
        map(
            personal(),
            &change(Operation::Insert, None, Some(r#"{"id":1,"customer_id":null}"#))
        )
        .is_empty()
    );
}

#[test]
fn changed_compares_with_the_former_value() {
    let mut rule = rule(Destination::Public);
    rule.changed = vec!["status".into()];
    let watch = || watch(&["id"], vec![rule.clone()]);
    assert!(map(watch(), &change(Operation::Update, Some(r#"{"status":"paid"}"#), Some(ROW))).is_empty());
    assert_eq!(
        map(watch(), &change(Operation::Update, Some(r#"{"status":"new"}"#), Some(ROW))).len(),
        1
    );
    assert_eq!(map(watch(), &change(Operation::Insert, None, Some(ROW))).len(), 1);
}

#[test]
fn a_delete_publishes_the_old_row() {
    let outcomes = map(
        watch(&["id"], vec![rule(Destination::Public)]),
        &change(Operation::Delete, Some(ROW), None),
    );
    assert!(event(&outcomes[0]).contains(r#""event_class":"Order deleted","message":"Order 17""#));
    assert!(event(&outcomes[0]).ends_with(r#""op":"delete","pk":17}"#));
}

#[test]
fn a_composite_key_is_a_list_and_a_table_without_a_key_has_none() {
    let text = r#"{"a":1,"b":"x y","status":"new"}"#;
    let composite = map(
        watch(&["a", "b"], vec![rule(Destination::Public)]),
        &change(Operation::Insert, None, Some(text)),
    );
    assert!(event(&composite[0]).contains(r#""message":"Order 1,x y""#));
    assert!(event(&composite[0]).ends_with(r#""pk":[1,"x y"]}"#));
    let keyless = map(
        watch(&[], vec![rule(Destination::Public)]),
        &change(Operation::Insert, None, Some(text)),
    );
    assert!(event(&keyless[0]).ends_with(r#""pk":null}"#));
}

#[test]
fn a_rule_that_fails_reports_which_template_and_why_and_stops_no_other() {
    let mut failing = rule(Destination::Public);
    failing.message = Some(template("{{ row.gone }}", &[row("gone")]));
    let outcomes = map(
        watch(&["id"], vec![failing, rule(Destination::Staff)]),
        &change(Operation::Insert, None, Some(ROW)),
    );
    assert_eq!(
        outcomes[0].as_ref().unwrap_err().reason,
        "message: undefined value: `row.gone` is undefined"
    );
    assert_eq!(&*outcomes[1].as_ref().unwrap().channel, "staff");
}

#[test]
fn a_template_that_loops_forever_is_stopped() {
    let mut endless = rule(Destination::Public);
    let text = "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}{{ row.id }}";
    endless.message = Some(template(text, &[row("id")]));
    let outcomes = map(watch(&["id"], vec![endless]), &change(Operation::Insert, None, Some(ROW)));
    assert!(
        outcomes[0].as_ref().unwrap_err().reason.contains("fuel"),
        "{:?}",
        outcomes[0].as_ref().unwrap_err().reason
    );
}

#[test]
fn column_names_and_values_that_json_escapes_pass_through() {
    let mut odd = rule(Destination::Public);
    odd.data = vec!["we\"ird\\".into()];
    let text = r#"{"id":1,"we\"ird\\":{"b":1,"a":1.0,"a":2}}"#;
    let outcomes = map(watch(&["id"], vec![odd]), &change(Operation::Insert, None, Some(text)));
    assert!(event(&outcomes[0]).contains(r#""data":{"we\"ird\\":{"b":1,"a":1.0,"a":2}}"#));
}

#[test]
fn two_rules_give_two_keys_and_a_later_change_with_the_same_id_another() {
    let watch = watch(&["id"], vec![rule(Destination::Public), rule(Destination::Public)]);
    let outcomes = map(watch, &change(Operation::Insert, None, Some(ROW)));
    let keys: Vec<_> = outcomes
        .iter()
        .map(|outcome| outcome.as_ref().unwrap().origin.to_string())
        .collect();
    let mut later = outcomes[0].as_ref().unwrap().origin.clone();
    later.at = Timestamp::from_microsecond(later.at.as_microsecond() + 1).unwrap();
    assert_ne!(keys[0], keys[1]);
    assert_ne!(keys[0], later.to_string());
}

#[test]
fn lost_changes_are_announced_to_everyone_if_the_channel_depends_on_the_row() {
    let by_row = || Destination::Channel(template("order:{{ row.id }}", &[row("id")]));
    let told = |destinations: Vec<Destination>, prefix: &str| -> Vec<String> {
        let watch = watch(&["id"], destinations.into_iter().map(rule).collect());
        let mapping = Mapping::compile(&[watch], None, prefix).unwrap();
        let resync = mapping.resync(1, Timestamp::UNIX_EPOCH);
        resync.iter().map(|publication| publication.channel.to_string()).collect()
    };
    assert_eq!(told(vec![by_row()], ""), ["public"]);
    assert_eq!(told(vec![Destination::User("customer_id".into())], "shop."), ["shop.public"]);
    assert_eq!(told(vec![Destination::Staff, by_row()], ""), ["public", "staff"]);
    assert_eq!(told(vec![Destination::Staff], ""), ["staff"]);
}
