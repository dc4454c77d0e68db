//! A row's path through the mapping, as `benches/mapping.rs` measures it.

use std::process::Command;

use crate::report::{Section, Table};
use crate::support::cache;

/// The characters of the tree in divan's output, before a line's own text.
const TREE: [char; 5] = [' ', '│', '├', '╰', '─'];

pub(crate) fn measure() -> Section {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["bench", "--bench", "mapping"])
        .current_dir(cache::manifest(""))
        .output()
        .expect("cargo runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let mut table = Table::new(["a rule with", "time", "allocations", "bytes allocated"]);
    let rows = rows(&text);
    assert!(!rows.is_empty(), "{text}");
    for row in rows {
        table.row(row);
    }
    Section {
        name: "mapping",
        title: "A row's path",
        how: "From a change of four columns, as PostgreSQL sends it, to the encoded event of one rule: medians of a hundred samples, in one \
              thread that does nothing else (`make bench-micro`)."
            .to_owned(),
        tables: vec![table],
        goals: Vec::new(),
    }
}

/// The name of each case, its median, and the number and size of its allocations.
fn rows(text: &str) -> Vec<[String; 4]> {
    let mut rows: Vec<[String; 4]> = Vec::new();
    // `alloc:` is followed by a line with the number and one with the size.
    let mut wanted = None;
    for line in text.lines() {
        let cells: Vec<&str> = line.trim_start_matches(TREE).split('│').map(str::trim).collect();
        let [first, _, median, ..] = cells.as_slice() else { continue };
        if line.contains("─ ") && !median.is_empty() {
            let name = first.split("  ").next().unwrap_or_default();
            rows.push([name.to_owned(), (*median).to_owned(), String::new(), String::new()]);
        } else if *first == "alloc:" {
            wanted = Some(2);
        } else if let (Some(at), Some(row)) = (wanted, rows.last_mut()) {
            (*median).clone_into(&mut row[at]);
            wanted = (at == 2).then_some(3);
        }
    }
    rows
}
