//! `docs/failures.md` matches the code, and `docs/guarantees.md` names tests that exist.

use std::time::Duration;

use instant::outbox::Error;
use instant::publisher::{self, ApiServer, BatchDirective, Directive, Rejection, directive, on_code, on_status};
use tonic::Code;

use crate::support::cache::manifest;

/// A row of a table: its subject, and its last columns.
struct Row {
    names: Vec<String>,
    answer: String,
    hint: Option<String>,
}

#[test]
fn the_table_of_centrifugos_codes_says_what_the_policy_does() {
    let rows = table("| code | meaning | Instant | hint |");
    for row in &rows {
        for name in &row.names {
            // Any number that no row names stands for the others.
            let code = if name == "any other" { 4242 } else { name.parse().unwrap() };
            let (answer, hint) = match directive(&rejection(code)) {
                Directive::Retry => ("retry", None),
                Directive::Park { hint } => ("park", hint),
            };
            assert_eq!((row.answer.as_str(), row.hint.as_deref()), (answer, hint), "code {name}");
        }
    }
    let other = directive(&rejection(4242));
    for code in (0..1_000).filter(|code| directive(&rejection(*code)) != other) {
        assert!(names(&rows).contains(&&code.to_string()), "code {code} is not in the table");
    }
}

#[test]
fn the_tables_of_http_statuses_say_what_the_policy_does() {
    for (server, head) in [
        (ApiServer::Centrifugo, "| status | meaning | Instant | hint |"),
        (ApiServer::Hub, "| status of the hub | meaning | Instant | hint |"),
    ] {
        let (rows, on_status) = (table(head), |status| on_status(server, status));
        for row in &rows {
            for name in &row.names {
                let status = if name == "any other" { 418 } else { name.parse().unwrap() };
                let (answer, hint) = match on_status(status) {
                    BatchDirective::Retry { hint } => ("retry", hint),
                    BatchDirective::Split => ("split", None),
                };
                assert_eq!((row.answer.as_str(), row.hint.as_deref()), (answer, hint), "status {name}");
            }
        }
        for status in (100..600).filter(|status| on_status(*status) != on_status(418)) {
            assert!(
                names(&rows).contains(&&status.to_string()),
                "status {status} is not in the table"
            );
        }
    }
}

#[test]
fn the_table_of_grpcs_codes_says_what_the_policy_does() {
    let rows = table("| gRPC | meaning | Instant | hint |");
    let on_code = |code| on_code(code, "grpc: received message larger than max (4194305 vs. 4194304)");
    let other = on_code(Code::Unknown);
    for code in (1..=16).map(Code::from_i32) {
        let name = format!("{code:?}");
        let row = rows.iter().find(|row| row.names.contains(&name));
        let row = row.or_else(|| rows.iter().find(|row| row.names[0] == "any other")).unwrap();
        let (answer, hint) = match on_code(code) {
            BatchDirective::Retry { hint } => ("retry", hint),
            BatchDirective::Split => ("split", None),
        };
        assert_eq!((row.answer.as_str(), row.hint.as_deref()), (answer, hint), "{name}");
        assert!(
            on_code(code) == other || names(&rows).contains(&&name),
            "{name} is not in the table"
        );
    }
    assert_eq!(publisher::on_code(Code::ResourceExhausted, "too many requests"), other);
}

#[test]
fn the_table_of_postgresqls_errors_says_which_of_them_stop_the_relay() {
    let rows = table("| error | meaning | Instant |");
    let errors = [
        Error::Url,
        Error::Unread(""),
        Error::Tls(String::new()),
        Error::Pooler,
        Error::ForeignCursor { stored: 1, here: 2 },
        Error::NoCursor,
        Error::Schema(String::new()),
        Error::Protocol(""),
        Error::Moved,
        Error::Closed,
        Error::Silent(Duration::ZERO),
    ];
    // A new error does not compile here until it is named; it belongs into the list above too.
    let is_listed = |error: &Error| match error {
        Error::Url
        | Error::Unread(_)
        | Error::Tls(_)
        | Error::Pooler
        | Error::ForeignCursor { .. }
        | Error::NoCursor
        | Error::Schema(_)
        | Error::Protocol(_)
        | Error::Moved
        | Error::Closed
        | Error::Silent(_) => true,
        // The driver alone makes one.
        Error::Postgres(_) => false,
    };
    assert!(errors.iter().all(is_listed));
    for error in &errors {
        let text = format!("{error:?}");
        let name = text.split(['(', ' ']).next().unwrap();
        let row = rows.iter().find(|row| row.names[0] == name);
        let row = row.unwrap_or_else(|| panic!("{name} is not in the table"));
        assert_eq!(row.answer == "retry", error.is_transient(), "{name}");
    }
}

const fn rejection(code: u32) -> Rejection {
    Rejection {
        code,
        message: String::new(),
    }
}

fn names(rows: &[Row]) -> Vec<&String> {
    rows.iter().flat_map(|row| &row.names).collect()
}

/// The rows of the table with this header.
fn table(head: &str) -> Vec<Row> {
    let text = std::fs::read_to_string(manifest("docs/failures.md")).unwrap();
    let (_, body) = text.split_once(head).expect("the table is there");
    let rows: Vec<_> = body
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
            Row {
                names: cells[0].split(", ").map(|name| name.trim_matches('`').to_owned()).collect(),
                answer: cells[2].to_owned(),
                hint: cells.get(3).filter(|hint| !hint.is_empty()).map(|hint| (*hint).to_owned()),
            }
        })
        .collect();
    assert!(rows.len() > 3, "{head}");
    rows
}

#[test]
fn each_promise_and_each_attack_names_tests_that_there_are() {
    let document = std::fs::read_to_string(manifest("docs/guarantees.md")).unwrap();
    let promises = document
        .lines()
        .filter(|line| line.starts_with(|first: char| first.is_ascii_digit()))
        .count();
    let tests = sources(&manifest("tests"));
    let is_test = |name: &str| {
        tests.match_indices(&format!("fn {name}(")).any(|(place, _)| {
            let above = tests[..place].rsplit("\n\n").next().unwrap_or_default();
            above.contains("#[test]") || above.contains("#[tokio::test")
        })
    };
    let rows = |head: &str| {
        let (_, body) = document.split_once(head).expect("the table is there");
        let rows: Vec<&str> = body.lines().skip(2).take_while(|line| line.starts_with('|')).collect();
        rows
    };
    let names = |cell: &str| -> Vec<String> { cell.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    for row in rows("| promise | tests |")
        .iter()
        .chain(&rows("| attack | tests | control |"))
    {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        assert!(!names(cells[1]).is_empty(), "{row}");
        for cell in &cells[1..] {
            for name in names(cell) {
                assert!(is_test(&name), "there is no test {name}");
            }
        }
        if let Some(control) = cells.get(2) {
            let is_told = control.starts_with("same") || control.starts_with("by hand") || *control == "-";
            assert!(is_told || !names(control).is_empty(), "{row}");
        }
    }
    assert_eq!((promises, rows("| promise | tests |").len()), (6, 6));
}

/// Every line of Rust below a folder.
pub(crate) fn sources(folder: &std::path::Path) -> String {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| match path.extension() {
            _ if path.is_dir() => sources(&path),
            Some(extension) if extension == "rs" => std::fs::read_to_string(path).unwrap(),
            _ => String::new(),
        })
        .collect()
}
