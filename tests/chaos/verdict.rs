//! Whether the received events match the committed changes.

use std::collections::{BTreeMap, BTreeSet};

/// A change of a row. The values of a run are distinct, so that operation, row and value identify a change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Deed {
    pub(super) operation: String,
    pub(super) row: i64,
    pub(super) value: String,
}

/// A deed as a subscriber receives it.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    /// The event's id.
    pub(super) id: String,
    pub(super) deed: Deed,
}

/// Compares the received deeds, in order per channel, with the committed ones, in order per row.
///
/// # Errors
/// The first mismatch.
pub(super) fn verdict(committed: &[Deed], heard: &[Heard]) -> Result<(), String> {
    let mut ids = BTreeSet::new();
    if let Some(twice) = heard.iter().find(|heard| !ids.insert(&heard.id)) {
        return Err(format!("heard twice: {twice:?}"));
    }
    let known: BTreeSet<_> = committed.iter().collect();
    if let Some(invented) = heard.iter().find(|heard| !known.contains(&heard.deed)) {
        return Err(format!("heard, and never committed: {invented:?}"));
    }
    let told: BTreeSet<_> = heard.iter().map(|heard| &heard.deed).collect();
    let lost: Vec<_> = committed.iter().filter(|deed| !told.contains(deed)).collect();
    if let Some(first) = lost.first() {
        return Err(format!(
            "{} of {} never heard, the first: {first:?}",
            lost.len(),
            committed.len()
        ));
    }
    let by_row = |deeds: &mut dyn Iterator<Item = &Deed>| {
        let mut rows: BTreeMap<i64, Vec<Deed>> = BTreeMap::new();
        deeds.for_each(|deed| rows.entry(deed.row).or_default().push(deed.clone()));
        rows
    };
    let (right, found) = (
        by_row(&mut committed.iter()),
        by_row(&mut heard.iter().map(|heard| &heard.deed)),
    );
    for (row, deeds) in &found {
        if right.get(row) != Some(deeds) {
            return Err(format!(
                "row {row} was heard as {deeds:?} and written as {:?}",
                right.get(row)
            ));
        }
    }
    Ok(())
}

fn deed(operation: &str, row: i64, value: &str) -> Deed {
    let (operation, value) = (operation.to_owned(), value.to_owned());
    Deed { operation, row, value }
}

/// Two rows, and how they are received without faults.
fn well() -> (Vec<Deed>, Vec<Heard>) {
    let committed = vec![
        deed("insert", 1, "a"),
        deed("insert", 2, "b"),
        deed("update", 1, "c"),
        deed("delete", 1, "c"),
    ];
    // The rows of two channels may overtake each other.
    let heard = [1, 0, 2, 3].map(|place: usize| Heard {
        id: place.to_string(),
        deed: committed[place].clone(),
    });
    (committed, heard.to_vec())
}

#[test]
fn the_verdict_is_good_when_rows_overtake_each_other_alone() {
    let (committed, heard) = well();
    assert_eq!(verdict(&committed, &heard), Ok(()));
}

#[test]
fn the_verdict_finds_what_is_lost_doubled_invented_or_in_another_order() {
    let (committed, heard) = well();
    let mut lost = heard.clone();
    lost.remove(2);
    let mut doubled = heard.clone();
    doubled.push(heard[0].clone());
    let mut invented = heard.clone();
    invented[0].deed.value = "z".to_owned();
    let mut swapped = heard;
    swapped.swap(1, 2);
    for (heard, complaint) in [
        (lost, "never heard"),
        (doubled, "twice"),
        (invented, "never committed"),
        (swapped, "row 1"),
    ] {
        let found = verdict(&committed, &heard).unwrap_err();
        assert!(found.contains(complaint), "{found}");
    }
}
