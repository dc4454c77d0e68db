//! Tests of rows that move from one audience to another.

use proptest::prelude::*;

use super::*;

/// A rule that publishes the orders of each room, except drafts.
fn rooms(follow: bool) -> WatchRule {
    let mut rule = rule(Destination::Channel(template(
        "room:{{ row.customer_id }}",
        &[row("customer_id")],
    )));
    rule.when = Some(Expression {
        text: "row.status != 'draft'".into(),
        span: 0..0,
        references: vec![row("status")],
    });
    rule.follow = follow;
    rule.message = Some(template("Secret {{ row.total }}", &[row("total")]));
    rule.event_class = Some(template("class", &[]));
    rule.moved_by = ["id", "status", "customer_id"].map(str::to_owned).to_vec();
    rule
}

fn version(id: u8, status: &str, room: u8) -> String {
    format!(r#"{{"id":{id},"status":"{status}","total":"1.00","customer_id":{room}}}"#)
}

/// The channel, event and key of each publication of an update.
fn published(rule: WatchRule, old: &str, new: &str) -> Vec<(String, String, String)> {
    let outcomes = map(watch(&["id"], vec![rule]), &change(Operation::Update, Some(old), Some(new)));
    outcomes
        .iter()
        .map(|outcome| {
            let publication = outcome.as_ref().unwrap();
            (
                publication.channel.to_string(),
                event(outcome).to_owned(),
                publication.origin.to_string(),
            )
        })
        .collect()
}

#[test]
fn the_former_audience_gets_only_the_former_key_with_a_separate_idempotency_key() {
    let published = published(rooms(false), &version(1, "paid", 1), &version(2, "paid", 2));
    assert_eq!(published.len(), 2, "{published:?}");
    assert_eq!(
        published[0].1,
        r#"{"event_class":"Order left","message":"Order 1","channel":"room:1","site":"Shop","data":{},"id":"1042-6610473297240-1-left","at":"2026-11-24T12:00:00.123Z","model":"shop.Order","op":"leave","pk":1}"#
    );
    assert!(
        published[1]
            .1
            .contains(r#""event_class":"class","message":"Secret 1.00","channel":"room:2""#),
        "{published:?}"
    );
    assert_eq!(
        (published[0].2.as_str(), published[1].2.as_str()),
        ("1042-6610473297240-1-left", "1042-6610473297240-1")
    );
}

#[test]
fn a_row_without_an_audience_leaves_the_one_it_had_and_one_that_gets_an_audience_leaves_nobody() {
    let mut personal = rule(Destination::User("customer_id".into()));
    personal.moved_by = vec!["id".into(), "customer_id".into()];
    let nobodys = r#"{"id":1,"status":"paid","total":"1.00","customer_id":null}"#;
    let of_one = version(1, "paid", 1);
    let left = published(personal.clone(), &of_one, nobodys);
    assert_eq!(left.len(), 1);
    assert!(left[0].0 == "#1" && left[0].1.contains("Order left"), "{left:?}");
    let got = published(personal, nobodys, &of_one);
    assert_eq!(got.len(), 1);
    assert!(got[0].0 == "#1" && got[0].1.contains("Order edited"), "{got:?}");
}

#[test]
fn only_a_rule_that_follows_announces_rows_that_stop_matching() {
    let (open, draft) = (version(1, "paid", 1), version(1, "draft", 1));
    assert!(published(rooms(false), &open, &draft).is_empty());
    let left = published(rooms(true), &open, &draft);
    assert!(left.len() == 1 && left[0].1.contains("Order left"), "{left:?}");
    let started = published(rooms(true), &draft, &open);
    assert!(started.len() == 1 && started[0].1.contains("Secret"), "{started:?}");
}

#[test]
fn neither_an_update_that_does_not_count_nor_one_without_the_former_values_is_a_departure() {
    let mut narrow = rooms(true);
    narrow.changed = vec!["total".into()];
    assert!(published(narrow, &version(1, "paid", 1), &version(1, "paid", 2)).is_empty());
    // Captured before the rules needed all of these columns.
    let new = version(1, "paid", 2);
    for old in [None, Some(r#"{"status":"draft"}"#), Some(r#"{"id":1,"status":"paid"}"#)] {
        let outcomes = map(watch(&["id"], vec![rooms(true)]), &change(Operation::Update, old, Some(&new)));
        assert_eq!(outcomes.len(), 1, "{old:?}");
        assert_eq!(&*outcomes[0].as_ref().unwrap().channel, "room:2");
    }
}

#[test]
fn a_row_that_moves_to_another_group_leaves_the_former_one() {
    let mut groups = rule(Destination::Group(template(
        "of {{ row.customer_id }}",
        &[row("customer_id")],
    )));
    groups.moved_by = vec!["id".into(), "customer_id".into()];
    let published = published(groups.clone(), &version(1, "paid", 1), &version(1, "paid", 2));
    let channels: Vec<_> = published.iter().map(|published| published.0.as_str()).collect();
    assert_eq!(channels, ["group.of%201", "group.of%202"]);
    assert!(
        published[0].1.contains("Order left") && published[1].1.contains("Order edited"),
        "{published:?}"
    );
    let stays = self::published(groups, &version(1, "paid", 1), &version(1, "draft", 1));
    assert_eq!(stays.len(), 1, "another column does not move it");
}

#[test]
fn each_rule_of_a_watch_notifies_its_own_audience_under_its_own_key() {
    let mut personal = rule(Destination::User("customer_id".into()));
    personal.moved_by = vec!["id".into(), "customer_id".into()];
    let watch = watch(&["id"], vec![rooms(false), rule(Destination::Staff), personal]);
    let (old, new) = (version(1, "paid", 1), version(1, "paid", 2));
    let outcomes = map(watch, &change(Operation::Update, Some(&old), Some(&new)));
    let published: Vec<_> = outcomes
        .iter()
        .map(|outcome| {
            let publication = outcome.as_ref().unwrap();
            (&*publication.channel, publication.origin.rule.number, publication.origin.left)
        })
        .collect();
    let expected = [
        ("room:1", 1, true),
        ("room:2", 1, false),
        ("staff", 2, false),
        ("#1", 3, true),
        ("#2", 3, false),
    ];
    assert_eq!(published, expected);
    let keys: std::collections::HashSet<_> = outcomes
        .iter()
        .map(|outcome| outcome.as_ref().unwrap().origin.to_string())
        .collect();
    assert_eq!(keys.len(), outcomes.len());
}

#[test]
fn a_departure_that_fails_is_parked_under_its_own_key_and_can_be_mapped_again() {
    let mut bare = rooms(true);
    bare.destination = Destination::Channel(template("{{ row.customer_id }}", &[row("customer_id")]));
    let (old, new) = (r#"{"id":1,"status":"paid","customer_id":""}"#, version(1, "paid", 2));
    let change = change(Operation::Update, Some(old), Some(&new));
    let watch = watch(&["id"], vec![bare]);
    let outcomes = map(watch.clone(), &change);
    let failed = outcomes[0].as_ref().unwrap_err();
    assert!(Origin::is_departure(&failed.origin.to_string()), "{}", failed.origin);
    assert!(outcomes[1].is_ok(), "the new audience still receives its row");
    let whole = version(1, "paid", 1);
    let fixed = Change {
        old: Some(&whole),
        ..change
    };
    let mapping = Mapping::compile(&[watch], None, "").unwrap();
    assert_eq!(
        &*mapping.map_by(1, true, &fixed, &NoRelatedRows).unwrap().unwrap().channel,
        "1"
    );
    assert_eq!(
        &*mapping.map_by(1, false, &fixed, &NoRelatedRows).unwrap().unwrap().channel,
        "2"
    );
}

proptest! {
    /// An audience that may see the row after an update receives it, and no departure. One that may not receives only a key, and only
    /// of a row that it could see before.
    #[test]
    fn nobody_in_the_new_audience_only_sees_that_a_row_left(
        follow: bool, before in (0..2_u8, any::<bool>(), 0..3_u8), after in (0..2_u8, any::<bool>(), 0..3_u8),
    ) {
        let status = |shown| if shown { "paid" } else { "draft" };
        let (old, new) = (version(before.0, status(before.1), before.2), version(after.0, status(after.1), after.2));
        let published = published(rooms(follow), &old, &new);
        let (left, got): (Vec<_>, Vec<_>) = published.iter().partition(|(_, event, _)| event.contains("Order left"));
        let audience = |(_, shown, room): (u8, bool, u8)| shown.then(|| format!("room:{room}"));
        prop_assert_eq!(got.iter().map(|published| published.0.clone()).next(), audience(after));
        let leaves = audience(before).filter(|channel| audience(after).as_ref() != Some(channel) && (follow || after.1));
        prop_assert_eq!(left.iter().map(|published| published.0.clone()).next(), leaves);
        let contains_only_the_key = |event: &str| !event.contains("1.00") && event.contains(r#""data":{}"#);
        prop_assert!(left.iter().all(|published| contains_only_the_key(&published.1)), "it contains more than the key");
        prop_assert!(left.len() <= 1 && got.len() <= 1);
    }
}
