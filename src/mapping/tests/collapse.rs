use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::config;

/// Orders go to the channel that `status` names; more than `above` of a kind become one.
fn mapping(above: u32, message: Option<Template>) -> Arc<Mapping> {
    let mut told = rule(Destination::Channel(template("{{ row.status }}", &[row("status")])));
    told.collapse = Some(config::Collapse { above, message });
    let mut each = rule(Destination::Public);
    each.on = Operations::NONE.with(Operation::Delete);
    each.event_class = Some(template("gone", &[]));
    Arc::new(Mapping::compile(&[watch(&["id"], vec![told, each])], Some("Shop"), "").unwrap())
}

/// What comes out while changes are taken in one after the other, and at the end.
struct Told {
    mapping: Arc<Mapping>,
    collapse: Collapse,
    outcomes: Vec<Outcome>,
    id: i64,
}

impl Told {
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
        self.mapping.map(&change, &NoRows, &mut self.outcomes);
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

/// The channel and the key of each event, or its keys.
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
    let told = |count| {
        let mut told = Told::new(mapping(3, None));
        for _ in 0..count {
            told.take(1, Operation::Insert, "a");
        }
        assert_eq!(told.collapse.earliest().unwrap().0, 101, "the cursor may not pass it");
        told.end()
    };
    assert_eq!(keys(&told(3)), [("a", json!(101)), ("a", json!(102)), ("a", json!(103))]);
    let one = told(4);
    assert_eq!(keys(&one), [("a", json!([101, 102, 103, 104]))]);
    insta::assert_snapshot!(one[0]);
}

#[test]
fn each_transaction_channel_and_operation_counts_for_itself() {
    let mut told = Told::new(mapping(1, None));
    for (transaction, operation, channel) in [
        (1, Operation::Insert, "a"),
        (2, Operation::Insert, "a"),
        (1, Operation::Insert, "b"),
        (1, Operation::Update, "a"),
        (2, Operation::Insert, "a"),
    ] {
        told.take(transaction, operation, channel);
    }
    let wanted = [
        ("a", json!(101)),
        ("b", json!(103)),
        ("a", json!(104)),
        ("a", json!([102, 105])),
    ];
    assert_eq!(keys(&told.end()), wanted, "and many stand where the last of them stood");
}

#[test]
fn other_publications_of_a_channel_stay_behind_what_is_held_for_it() {
    let mut told = Told::new(mapping(1, None));
    told.take(1, Operation::Insert, "public");
    told.take(2, Operation::Delete, "a");
    let wanted = [("public", json!(101)), ("a", json!(102)), ("public", json!(102))];
    assert_eq!(keys(&told.end()), wanted);
    let mut told = Told::new(mapping(1, None));
    told.take(1, Operation::Delete, "a");
    assert_eq!(told.outcomes.len(), 1, "nothing is held for `public`, so nothing waits there");
}

#[test]
fn truncates_are_never_collapsed() {
    let mut watched = watch(&["id"], vec![rule(Destination::Staff)]);
    watched.rules[0].on = Operations::NONE.with(Operation::Truncate);
    watched.rules[0].collapse = Some(config::Collapse { above: 1, message: None });
    let mapping = Arc::new(Mapping::compile(&[watched], None, "").unwrap());
    let (mut collapse, mut outcomes) = (Collapse::default(), Vec::new());
    for _ in 0..3 {
        mapping.map(&change(Operation::Truncate, None, None), &NoRows, &mut outcomes);
        collapse.take(&mapping, 1, &mut outcomes, 0);
    }
    assert_eq!(outcomes.len(), 3);
}

#[test]
fn a_message_of_its_own_says_how_many() {
    let count = || Reference::Variable("count".to_owned());
    let said = |text, references: &[Reference]| {
        let mut told = Told::new(mapping(1, Some(template(text, references))));
        for _ in 0..1_001 {
            told.take(1, Operation::Delete, "a");
        }
        let events = told.end();
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
fn other_rules_take_nothing_that_is_held_with_them() {
    let mut told = Told::new(mapping(1, None));
    told.take(1, Operation::Insert, "a");
    told.take(1, Operation::Insert, "a");
    told.mapping = Arc::new(Mapping::compile(&[watch(&["id"], vec![rule(Destination::Public)])], None, "").unwrap());
    told.take(1, Operation::Insert, "a");
    assert_eq!(keys(&told.end()), [("a", json!([101, 102])), ("public", json!(103))]);
}

#[test]
fn the_memory_is_bounded_however_many_channels_a_transaction_speaks_to_and_nothing_is_lost() {
    let mut told = Told::new(mapping(1, None));
    let (channels, rounds) = (6_000, 3);
    for _ in 0..rounds {
        for channel in 0..channels {
            told.take(1, Operation::Insert, &channel.to_string());
            assert!(told.collapse.held_bytes() <= 4 << 20);
        }
    }
    assert!(told.outcomes.len() > 5_000, "the oldest go first");
    let mut heard = 0;
    for event in told.end() {
        heard += event["count"].as_u64().unwrap_or(1);
    }
    assert_eq!(heard, channels * rounds);
}

proptest! {
    #[test]
    fn every_change_is_told_once_and_each_channel_in_order(
        changes in proptest::collection::vec((0..3_u64, 0..3_u8, 0..2_u8), 0..60),
        above in 1..4_u32,
    ) {
        let mut told = Told::new(mapping(above, None));
        let mut wanted: BTreeMap<(String, i64), u32> = BTreeMap::new();
        for (transaction, channel, operation) in changes {
            let channel = channel.to_string();
            told.take(transaction, [Operation::Insert, Operation::Update][usize::from(operation)], &channel);
            wanted.insert((channel, told.id), 1);
        }
        let mut heard: BTreeMap<(String, i64), u32> = BTreeMap::new();
        let mut last: BTreeMap<String, i64> = BTreeMap::new();
        for event in told.end() {
            let channel = event["channel"].as_str().unwrap().to_owned();
            let keys = match event["keys"].as_array() {
                Some(keys) => keys.clone(),
                None => vec![event["pk"].clone()],
            };
            prop_assert!(event["keys"].is_null() || keys.len() > above as usize);
            let keys: Vec<i64> = keys.iter().map(|key| key.as_i64().unwrap()).collect();
            // Of many that became one, the last has its place.
            let place = *keys.last().unwrap();
            prop_assert!(last.insert(channel.clone(), place).is_none_or(|before| before < place));
            for key in keys {
                *heard.entry((channel.clone(), key)).or_default() += 1;
            }
        }
        prop_assert_eq!(heard, wanted);
    }
}
