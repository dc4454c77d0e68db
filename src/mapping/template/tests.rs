use jiff::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::change::{Change, Operation};
use crate::config::Reference;
use crate::mapping::NoRelatedRows;
use crate::mapping::related::{Related, Relations};

#[test]
fn a_big_integer_keeps_all_its_digits() {
    for digits in [
        "9223372036854775807",
        "-9223372036854775808",
        "170141183460469231731687303715884105727",
    ] {
        assert_eq!(from_json(digits).to_string(), digits);
    }
}

#[test]
fn json_becomes_what_a_template_expects() {
    assert!(from_json("null").is_none());
    assert_eq!(from_json("true"), Value::from(true));
    assert_eq!(from_json("\"a\\u00e9\\n\"").as_str(), Some("aé\n"));
    assert_eq!(from_json("1.5").to_string(), "1.5");
    assert_eq!(from_json("[1,{\"a\":2}]").to_string(), "[1, {'a': 2}]");
}

/// The references of a template that reads all of these names.
fn references() -> Vec<Reference> {
    let named = ["a", "b"].map(str::to_owned);
    let row = named.clone().map(Reference::Row);
    let old = named.map(Reference::Old);
    let pk = Reference::Variable("pk".to_owned());
    [row.as_slice(), &old, &[pk]].concat()
}

fn template(text: &str) -> Template {
    Template {
        text: text.to_owned(),
        span: 0..0,
        references: references(),
    }
}

/// The joined text, and the text rendered by the engine; `None` if the template does not compile.
fn rendered(text: &str, old: &str, new: &str) -> Option<(Option<String>, Option<String>)> {
    let template = template(text);
    let mut templates = Templates::new();
    templates.text("name".to_owned(), &template).ok()?;
    let change = Change {
        id: 1,
        at: Timestamp::UNIX_EPOCH,
        source: "public.shop_order",
        operation: Operation::Update,
        old: Some(old),
        new: Some(new),
    };
    let key = ["id".to_owned()];
    let (relations, mut reads) = (Relations::default(), Reads::default());
    let related = Related {
        relations: &relations,
        rows: &NoRelatedRows,
    };
    let row = Row::read(&change, &key, related).unwrap();
    reads.add(&template.references, |_, _| {});
    let view = View::new(Some(&row), || reads.scope(&change, &"shop.Order".into(), &row));
    let by_engine = Text::Rendered("name".to_owned());
    let by_engine = templates.render(&by_engine, &view);
    let joined = Joined::parse(&template).and_then(|joined| joined.join(&row));
    Some((joined, by_engine.ok().map(Cow::into_owned)))
}

#[test]
fn a_template_of_names_and_constants_is_joined() {
    let new = r#"{"id" : 17, "a" : "p\"aid", "b" : "é"}"#;
    let text = "Order {{ pk }} of {{row.b}} was {{ old.a }} and is {{ row.a }}.";
    let (joined, by_engine) = rendered(text, r#"{"a" : -5}"#, new).unwrap();
    assert_eq!(joined.as_deref(), Some("Order 17 of é was -5 and is p\"aid."));
    assert_eq!(joined, by_engine);
}

#[test]
fn values_other_than_strings_and_short_integers_are_left_to_the_engine() {
    for value in ["null", "true", "1.50", "1e3", "-0", "12345678901234567890", "[1]", "{}"] {
        let (joined, by_engine) = rendered("{{ row.a }}", "{}", &format!("{{\"id\":1,\"a\":{value}}}")).unwrap();
        assert_eq!(joined, None, "{value}");
        assert!(by_engine.is_some(), "{value}");
    }
    let (joined, by_engine) = rendered("{{ row.a }}", "{}", "{\"id\":1}").unwrap();
    assert_eq!((joined, by_engine), (None, None));
}

#[test]
fn long_texts_are_left_to_the_engine_which_is_bounded() {
    let long = |bytes| format!("{{\"id\":1,\"a\":\"{}\"}}", "a".repeat(bytes));
    let text = "{{ row.a }}{{ row.a }}";
    let (joined, by_engine) = rendered(text, "{}", &long(40 << 10)).unwrap();
    assert_eq!((joined, by_engine.map(|text| text.len())), (None, Some(80 << 10)));
    assert_eq!(rendered(text, "{}", &long(4 << 20)).unwrap(), (None, None));
}

proptest! {
    #[test]
    fn a_joined_text_equals_the_engines_output(
        pieces in vec(select(vec![
            "{{ row.a }}", "{{row.b}}", "{{\told.a\n}}", "{{ old.b }}", "{{ pk }}", "{{- row.a }}", "{{ row.a -}}", "{{ row.a | upper }}",
            "{{ row.a + row.b }}", "{{ 'row.a' }}", "{{ row['a'] }}", "{% if pk %}", "{% endif %}", "{# pk #}", "{{ \"}}\" }}", "{{", "}}",
            "{", "}", "%", "#", "\n", "\r", " ", "é", "\\", "pk", "row.a", "-",
        ]), 0..8),
        values in [value(), value(), value(), value(), value()],
    ) {
        let [id, a, b, old_a, old_b] = values;
        let (old, new) = (format!("{{\"a\":{old_a}, \"b\" : {old_b}}}"), format!("{{\"id\":{id}, \"a\":{a}, \"b\" : {b}}}"));
        if let Some((Some(joined), by_engine)) = rendered(&pieces.concat(), &old, &new) {
            prop_assert_eq!(Some(joined), by_engine);
        }
    }
}

/// A value in PostgreSQL's JSON format.
fn value() -> impl Strategy<Value = String> {
    let raw = select(vec![
        "null",
        "true",
        "false",
        "0",
        "-0",
        "1.0",
        "1.50",
        "1e3",
        "\"\"",
        r#""\u00e9\/\n""#,
        "999999999999999999",
        "1000000000000000000",
        "-170141183460469231731687303715884105728",
        "99999999999999999999999999999999999999999",
        "[1, 2]",
        "{\"a\": 1}",
        "{}",
    ]);
    prop_oneof![
        raw.prop_map(str::to_owned),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
    ]
}
