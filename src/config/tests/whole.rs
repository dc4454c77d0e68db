use proptest::prelude::*;

use super::*;

const TEN_PROBLEMS: &str = r#"site = 5
colour = "red"

[database]
url = "${DATABASE}"

[centrifugo]
url = "127.0.0.1:8000"
api_key = "topsecret" oops

[outbox]
retention = "soon"

[[watch]]
model = "shop.Order"
feilds = ["number"]
fields = ["number", "status"]

  [[watch.rule]]
  on = "updated"
  target = "stuff"
  message = "Order {{ row.numbr }} is {{ rov.status }}"

  [[watch.rule]]
  on = "insert"
  changed = "status"
  when = "row.status == "
  target = "staff"
"#;

#[test]
fn ten_problems_are_reported_in_one_run() {
    insta::assert_snapshot!(rendered(TEN_PROBLEMS));
}

#[test]
fn problems_come_in_the_order_of_their_locations() {
    let (_, diagnostics) = parse(TEN_PROBLEMS);
    let starts: Vec<_> = diagnostics
        .items
        .iter()
        .map(|item| item.span.as_ref().map(|span| span.start))
        .collect();
    assert!(starts.is_sorted(), "{starts:?}");
}

#[test]
fn an_empty_file_has_no_database() {
    insta::assert_snapshot!(rendered(""));
}

#[test]
fn windows_line_endings_make_no_difference() {
    let text = FULL.replace('\n', "\r\n");
    let (config, diagnostics) = parse(&text);
    assert_eq!(diagnostics.render(&source(&text), false), "");
    assert_eq!(config.unwrap().watches.len(), 4);
    assert_eq!(problems(&TEN_PROBLEMS.replace('\n', "\r\n")), problems(TEN_PROBLEMS));
}

/// Cuts `length` characters out at `at`, and puts `insert` there.
fn mutated(text: &str, (at, length, insert): &(usize, usize, String)) -> String {
    let letters: Vec<char> = text.chars().collect();
    let at = at % (letters.len() + 1);
    let end = (at + length).min(letters.len());
    letters[..at]
        .iter()
        .copied()
        .chain(insert.chars())
        .chain(letters[end..].iter().copied())
        .collect()
}

/// Some random edits of a file.
fn edits(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<(usize, usize, String)>> {
    let text = r#"([\[\]{}"'=.,#$%|\n\r\\ é]|row|old|\{\{|\}\}|[a-z0-9]|"""|\$\{A\}|[[:cntrl:]]){0,6}"#;
    prop::collection::vec((0..4000_usize, 0..12_usize, text), count)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_mutation_of_a_file_makes_the_parser_panic(edits in edits(1..6)) {
        let text = edits.iter().fold(FULL.to_owned(), |text, edit| mutated(&text, edit));
        let (config, diagnostics) = parse(&text);
        prop_assert_eq!(config.is_some(), !diagnostics.has_errors());
        let output = diagnostics.render(&source(&text), false);
        prop_assert_eq!(output.is_empty(), diagnostics.items.is_empty());
        prop_assert!(!output.contains("s3cret"));
    }

    #[test]
    fn no_typo_in_a_file_shows_its_literal_secrets(edits in edits(1..2)) {
        let literal = FULL.replace("${DATABASE_URL}", "postgres://a:hunter2@b").replace("${CENTRIFUGO_API_KEY:-development}", "hunter2");
        // The edits go to the part that holds the secrets.
        let (head, tail) = literal.split_at(literal.find("[outbox]").unwrap_or_default());
        let head = edits.iter().fold(head.to_owned(), |text, edit| mutated(&text, edit));
        let text = head + tail;
        let output = parse(&text).1.render(&source(&text), false);
        prop_assert!(!output.contains("hunter2"), "{}\n{}", text, output);
    }
}
