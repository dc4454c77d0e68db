use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::config;

/// A mapping of orders to the channel that `status` names; more than `above` of a kind are merged.
fn mapping(above: u32, message: Option<Template>) -> Arc<Mapping> {
    let mut merging = rule(Destination::Channel(template("{{ row.status }}", &[row("status")])));
    merging.collapse = Some(config::Collapse { above, message });
    let mut each = rule(Destination::Public);
    each.on = Operations::NONE.with(Operation::Delete);
    each.event_class = Some(template("gone", &[]));
    Arc::new(Mapping::compile(&[watch(&["id"], vec![merging, each])], Some("Shop"), "").unwrap())
}

/// The outcomes while changes are added one after the other, and at the end.
struct Published {
    mapping: Arc<Mapping>,
    collapse: Collapse,
    outcomes: Vec<Outcome>,
    id: i64,
}

impl Published {
    fn new(mapping: Arc<Mapping>) -> Self {
        let (collapse, outcomes) = (Collapse::default(), Vec::new());
        Self {
            mapping,
            collapse,
            outcomes,
            id: 100,
        }
    }

    fn take(&mut self, transaction: u64, operation: Operation, channel: &str) {
        self.id += 1;
        let columns = format!(r#"{{"id":{},"status":"{channel}"}}"#, self.id);
        let (old, new) = match operation {
            Operation::Delete => (Some(columns.as_str()), None),
            _ => (None, Some(columns.as_str())),
        };
        let change = Change {
            id: self.id,
            ..change(operation, old, new)
        };
        let before = self.outcomes.len();
        self.mapping.map(&change, &NoRelatedRows, &mut self.outcomes);
        self.collapse.take(&self.mapping, transaction, &mut self.outcomes, before);
    }

    fn end(mut self) -> Vec<Value> {
        self.collapse.release(&mut self.outcomes);
        assert!(self.collapse.is_empty() && self.collapse.earliest().is_none());
        assert_eq!(self.collapse.held_bytes(), 0);
        let publications = self.outcomes.into_iter().map(Result::unwrap);
        publications
            .map(|publication| serde_json::from_slice(&publication.event).unwrap())
            .collect()
    }
}

/// The channel of each event, and its key or keys.
fn keys(events: &[Value]) -> Vec<(&str, Value)> {
    let keys = |event: &Value| {
        if event["count"].is_null() {
            event["pk"].clone()
        } else {
            event["keys"].clone()
        }
    };
    events
        .iter()
        .map(|event| (event["channel"].as_str().unwrap(), keys(event)))
        .collect()
}

#[test]
fn as_many_as_may_be_are_published_one_by_one_and_one_more_makes_one_of_them_all() {
    let published = |count| {
        let mut published = Published::new(mapping(3, None));
        for _ in 0..count {
            published.take(1, Operation::Insert, "a");
        }
        assert_eq!(published.collapse.earliest().unwrap().0, 101, "the cursor must not pass it");
        published.end()
    };
    assert_eq!(keys(&published(3)), [("a", json!(101)), ("a", json!(102)), ("a", json!(103))]);
    let one = published(4);
    assert_eq!(keys(&one), [("a", json!([101, 102, 103, 104]))]);
    insta::assert_snapshot!(one[0]);
}

#[test]
fn each_transaction_channel_and_operation_is_counted_separately() {
    let mut published = Published::new(mapping(1, None));
    for (transaction, operation, channel) in [
        (1, Operation::Insert, "a"),
        (2, Operation::Insert, "a"),
        (1, Operation::Insert, "b"),
        (1, Operation::Update, "a"),
        (2, Operation::Insert, "a"),
    ] {
        published.take(transaction, operation, channel);
    }
    let wanted = [
        ("a", json!(101)),
        ("b", json!(103)),
        ("a", json!(104)),
        ("a", json!([102, 105])),
    ];
    assert_eq!(
        keys(&published.end()),
        wanted,
        "a merged publication takes the position of the last"
    );
}

#[test]
fn other_publications_of_a_channel_stay_behind_what_is_held_for_it() {
    let mut published = Published::new(mapping(1, None));
    published.take(1, Operation::Insert, "public");
    published.take(2, Operation::Delete, "a");
    let wanted = [("public", json!(101)), ("a", json!(102)), ("public", json!(102))];
    assert_eq!(keys(&published.end()), wanted);
    let mut published = Published::new(mapping(1, None));
    published.take(1, Operation::Delete, "a");
    assert_eq!(
        published.outcomes.len(),
        1,
        "nothing is held for `public`, so nothing waits there"
    );
}

#[test]
fn truncates_are_never_collapsed() {
    let mut watched = watch(&["id"], vec![rule(Destination::Staff)]);
    watched.rules[0].on = Operations::NONE.with(Operation::Truncate);
    watched.rules[0].collapse = Some(config::Collapse { above: 1, message: None });
    let mapping = Arc::new(Mapping::compile(&[watched], None, "").unwrap());
    let (mut collapse, mut outcomes) = (Collapse::default(), Vec::new());
    for _ in 0..3 {
        mapping.map(&change(Operation::Truncate, None, None), &NoRelatedRows, &mut outcomes);
        collapse.take(&mapping, 1, &mut outcomes, 0);
    }
    assert_eq!(outcomes.len(), 3);
}

#[test]
fn a_custom_message_may_contain_the_count() {
    let count = || Reference::Variable("count".to_owned());
    let said = |text, references: &[Reference]| {
        let mut published = Published::new(mapping(1, Some(template(text, references))));
        for _ in 0..1_001 {
            published.take(1, Operation::Delete, "a");
        }
        let events = published.end();
        let event = events.into_iter().find(|event| !event["count"].is_null()).unwrap();
        assert_eq!(
            (&event["count"], &event["keys"]),
            (&json!(1_001), &json!(null)),
            "too many to name"
        );
        event["message"].as_str().unwrap().to_owned()
    };
    assert_eq!(said("{{ count }} orders {{ verb }}", &[count()]), "1001 orders deleted");
    assert_eq!(said("New orders", &[]), "New orders");
    assert_eq!(
        said("{{ 1 // (count - 1001) }}", &[count()]),
        "Order: 1001 deleted",
        "it fails"
    );
}

#[test]
fn a_reload_releases_what_the_former_rules_held() {
    let mut published = Published::new(mapping(1, None));
    published.take(1, Operation::Insert, "a");
    published.take(1, Operation::Insert, "a");
    published.mapping = Arc::new(Mapping::compile(&[watch(&["id"], vec![rule(Destination::Public)])], None, "").unwrap());
    published.take(1, Operation::Insert, "a");
    assert_eq!(keys(&published.end()), [("a", json!([101, 102])), ("public", json!(103))]);
}

#[test]
fn memory_is_bounded_for_any_number_of_channels_and_nothing_is_lost() {
    let mut published = Published::new(mapping(1, None));
    let (channels, rounds) = (6_000, 3);
    for _ in 0..rounds {
        for channel in 0..channels {
            published.take(1, Operation::Insert, &channel.to_string());
            assert!(published.collapse.held_bytes() <= 4 << 20);
        }
    }
    assert!(published.outcomes.len() > 5_000, "the oldest go first");
    let mut received = 0;
    for event in published.end() {
        received += event["count"].as_u64().unwrap_or(1);
    }
    assert_eq!(received, channels * rounds);
}

proptest! {
    #[test]
    fn every_change_is_published_once_and_each_channel_in_order(
        changes in proptest::collection::vec((0..3_u64, 0..3_u8, 0..2_u8), 0..60),
        above in 1..4_u32,
    ) {
        let mut published = Published::new(mapping(above, None));
        let mut wanted: BTreeMap<(String, i64), u32> = BTreeMap::new();
        for (transaction, channel, operation) in changes {
            let channel = channel.to_string();
            published.take(transaction, [Operation::Insert, Operation::Update][usize::from(operation)], &channel);
            wanted.insert((channel, published.id), 1);
        }
        let mut received: BTreeMap<(String, i64), u32> = BTreeMap::new();
        let mut last: BTreeMap<String, i64> = BTreeMap::new();
        for event in published.end() {
            let channel = event["channel"].as_str().unwrap().to_owned();
            let keys = match event["keys"].as_array() {
                Some(keys) => keys.clone(),
                None => vec![event["pk"].clone()],
            };
            prop_assert!(event["keys"].is_null() || keys.len() > above as usize);
            let keys: Vec<i64> = keys.iter().map(|key| key.as_i64().unwrap()).collect();
            // A merged publication takes the position of its last member.
            let position = *keys.last().unwrap();
            prop_assert!(last.insert(channel.clone(), position).is_none_or(|before| before < position));
            for key in keys {
                *received.entry((channel.clone(), key)).or_default() += 1;
            }
        }
        prop_assert_eq!(received, wanted);
    }
}
