use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

#[test]
fn an_announcement_is_read_as_the_row_would_be() {
    let text = r#"["731", 12, 1764179999000001, "shop_order", "U", null, {"id" : 7, "status" : "paid"}]"#;
    let announcement = Announcement::new(text.to_owned());
    let (change, transaction) = announcement.change().unwrap();
    assert_eq!((transaction, change.id, change.source), (731, 12, "shop_order"));
    assert_eq!(change.at.as_microsecond(), 1_764_179_999_000_001);
    assert_eq!(change.operation, Operation::Update);
    assert_eq!((change.old, change.new), (None, Some(r#"{"id" : 7, "status" : "paid"}"#)));
}

#[test]
fn anything_else_than_an_announcement_is_left_to_the_read() {
    for text in [
        "",
        "{}",
        "[1]",
        r#"["a", 1, 1, "s", "U", null, null]"#,
        r#"["1", 1, 1, "s", "?", null, null]"#,
    ] {
        assert!(Announcement::new(text.to_owned()).change().is_none(), "{text}");
    }
}

/// A change of this id.
fn change(id: i64) -> Change<'static> {
    Change {
        id,
        at: Timestamp::UNIX_EPOCH,
        source: "shop_order",
        operation: Operation::Insert,
        old: None,
        new: Some("{}"),
    }
}

/// What happens to a database with an outbox, and when the relay looks.
#[derive(Clone, Debug)]
enum Step {
    /// A transaction gets a number and captures nothing yet.
    Begin,
    /// One of the transactions under way captures a change.
    Capture(prop::sample::Index),
    /// One of them ends.
    End(prop::sample::Index, Ended),
    /// The announcements are received.
    Receive,
    /// A window is read.
    Read,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Ended {
    Announced,
    Unannounced,
    RolledBack,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let any = any::<prop::sample::Index>;
    let ended = prop_oneof![
        6 => Just(Ended::Announced),
        1 => Just(Ended::Unannounced),
        1 => Just(Ended::RolledBack),
    ];
    let step = prop_oneof![
        3 => Just(Step::Begin),
        4 => any().prop_map(Step::Capture),
        3 => (any(), ended).prop_map(|(index, ended)| Step::End(index, ended)),
        3 => Just(Step::Receive),
        3 => Just(Step::Read),
    ];
    prop::collection::vec(step, 1..120)
}

#[derive(Default)]
struct Database {
    begun: u64,
    captured: i64,
    /// The number after that of the last transaction that ended.
    xmax: u64,
    /// Transactions under way, with the ids of their changes.
    open: BTreeMap<u64, Vec<i64>>,
    /// Committed and not read.
    committed: BTreeSet<i64>,
    /// Announced and not received.
    announced: Vec<i64>,
}

impl Database {
    fn step(&mut self, step: &Step) {
        let open: Vec<u64> = self.open.keys().copied().collect();
        match step {
            Step::Begin => {
                self.open.insert(self.begun, Vec::new());
                self.begun += 1;
            }
            Step::Capture(index) if !open.is_empty() => {
                self.captured += 1;
                self.open.get_mut(index.get(&open)).unwrap().push(self.captured);
            }
            Step::End(index, ended) if !open.is_empty() => {
                let number = *index.get(&open);
                let changes = self.open.remove(&number).unwrap();
                self.xmax = self.xmax.max(number + 1);
                if *ended == Ended::Announced {
                    self.announced.extend(changes.first());
                }
                if *ended != Ended::RolledBack {
                    self.committed.extend(changes);
                }
            }
            _ => {}
        }
    }

    /// The snapshot of this moment, and how many transactions began from its xmax on.
    fn snapshot(&self) -> (Snapshot, i32) {
        let under_way: Vec<u64> = self.open.keys().copied().filter(|number| *number < self.xmax).collect();
        let xmin = under_way.first().copied().unwrap_or(self.xmax);
        let list: Vec<String> = under_way.iter().map(u64::to_string).collect();
        let snapshot = Snapshot::new(&format!("{xmin}:{}:{}", self.xmax, list.join(","))).unwrap();
        (snapshot, i32::try_from(self.begun - self.xmax).unwrap())
    }
}

proptest! {
    #[test]
    fn each_change_is_taken_once_and_an_announced_one_after_all_with_smaller_ids(steps in steps()) {
        let (mut database, mut seen, mut taken) = (Database::default(), Seen::default(), BTreeSet::new());
        for step in steps.iter().chain([&Step::Receive, &Step::Read]) {
            database.step(step);
            match step {
                Step::Receive => {
                    for id in std::mem::take(&mut database.announced) {
                        if seen.admit(&change(id)) {
                            let earlier = database.committed.iter().chain(database.open.values().flatten());
                            prop_assert!(earlier.filter(|other| **other < id).all(|other| taken.contains(other)));
                            prop_assert!(taken.insert(id));
                        }
                    }
                }
                Step::Read => {
                    let (snapshot, begun) = database.snapshot();
                    seen.begin(&snapshot, begun);
                    for id in std::mem::take(&mut database.committed) {
                        if seen.read(&change(id)) {
                            prop_assert!(taken.insert(id));
                        } else {
                            prop_assert!(taken.contains(&id));
                        }
                    }
                    seen.end();
                }
                _ => {}
            }
        }
    }
}

/// Reads a window while no transaction is under way.
fn read(seen: &mut Seen, transactions: u64, ids: &[i64]) {
    seen.begin(&Snapshot::new(&format!("{transactions}:{transactions}:")).unwrap(), 0);
    for id in ids {
        assert!(seen.read(&change(*id)));
    }
    seen.end();
}

#[test]
fn a_change_that_follows_the_last_one_is_admitted() {
    let mut seen = Seen::default();
    assert!(!seen.admit(&change(1)), "nothing is known about those before");
    read(&mut seen, 10, &[4, 6]);
    assert!(!seen.admit(&change(6)), "it was read");
    assert!(!seen.admit(&change(8)), "7 may come");
    assert!(seen.admit(&change(7)));
    assert!(seen.admit(&change(8)));
    seen.begin(&Snapshot::new("12:12:").unwrap(), 0);
    assert!(!seen.read(&change(7)));
    assert!(!seen.read(&change(8)));
    assert!(seen.read(&change(9)));
    seen.end();
    assert!(seen.admit(&change(10)));
}

#[test]
fn no_change_is_admitted_while_an_id_that_was_passed_over_may_still_come() {
    let mut seen = Seen::default();
    read(&mut seen, 10, &[4]);
    // 5 belongs to a transaction that began before 12 and is not known to the snapshot, since none after it has ended.
    seen.begin(&Snapshot::new("11:11:").unwrap(), 1);
    assert!(seen.read(&change(6)));
    seen.end();
    assert!(!seen.admit(&change(7)));
    read(&mut seen, 12, &[]);
    assert!(seen.admit(&change(7)));
}

#[test]
fn a_change_that_was_announced_with_other_contents_is_new() {
    let mut seen = Seen::default();
    read(&mut seen, 10, &[4]);
    let forged = Change {
        new: Some("[]"),
        ..change(5)
    };
    assert!(seen.admit(&forged));
    assert!(seen.admit(&change(6)));
    seen.begin(&Snapshot::new("12:12:").unwrap(), 0);
    assert!(seen.read(&change(5)));
    assert!(!seen.read(&change(6)));
    seen.end();
}

#[test]
fn nothing_is_admitted_after_a_forged_announcement_until_the_ids_are_known_again() {
    let mut seen = Seen::default();
    read(&mut seen, 10, &[4]);
    assert!(seen.admit(&change(5)));
    assert!(seen.admit(&change(6)));
    // 6 is not there yet, and may come after 7.
    seen.begin(&Snapshot::new("12:12:").unwrap(), 0);
    assert!(!seen.read(&change(5)));
    seen.end();
    assert!(!seen.admit(&change(7)));
    read(&mut seen, 13, &[6, 7]);
    assert!(seen.admit(&change(8)));
}
