//! The editors' schema: as published, against the documentation's examples, and against the parser.

use std::path::Path;

use instant::config::diagnostic::code;
use instant::config::schema::schema;
use instant::config::{Config, Source};
use jsonschema::Validator;
use serde_json::Value;
use toml::Table;

use crate::support::cache::manifest;
use crate::support::document;

/// A file with every key of this version.
const FULL: &str = include_str!("fixtures/full.toml");
/// The lines that every file has.
const HEAD: &str = "[database]\nurl = 'postgres://localhost/shop'\n";

/// The codes of a file's problems.
fn problems(text: &str) -> Vec<&'static str> {
    let source = Source {
        path: "instant.toml".into(),
        text: text.into(),
    };
    let (_, diagnostics) = Config::parse(source, &|_| Some("postgres://localhost/shop".to_owned()));
    diagnostics.items.iter().map(|item| item.code).collect()
}

fn validator() -> Validator {
    jsonschema::validator_for(&schema()).unwrap()
}

fn json(text: &str) -> Value {
    let table: Table = toml::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    serde_json::to_value(table).unwrap()
}

#[test]
fn the_published_schema_is_that_of_this_version() {
    let made = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    assert!(
        made == std::fs::read_to_string(manifest("docs/instant.schema.json")).unwrap(),
        "docs/instant.schema.json is another: `instant gen schema > docs/instant.schema.json`"
    );
}

/// Every example of a file in the documentation, with its page.
fn examples() -> Vec<(String, String)> {
    let mut examples = Vec::new();
    for page in document::pages() {
        let name = Path::new(&page).file_stem().unwrap().to_string_lossy().into_owned();
        examples.extend(
            document::in_language(&page, "toml")
                .into_iter()
                .map(|text| (name.clone(), text)),
        );
    }
    examples
}

/// An example with the lines around it in a file.
fn whole(example: &str) -> String {
    let inside = ["[[watch.rule]]", "related =", "table ="]
        .iter()
        .any(|start| example.starts_with(start));
    let watch = if inside { "[[watch]]\nmodel = \"shop.Order\"\n" } else { "" };
    let database = if example.contains("[database]") {
        ""
    } else {
        "\n[database]\nurl = \"postgres://a/b\"\n"
    };
    format!("{watch}{example}{database}")
}

#[test]
fn every_example_of_the_documentation_fits_the_schema_and_those_of_its_mistakes_do_not() {
    let validator = validator();
    assert!(validator.is_valid(&json(FULL)));
    let (mut fitting, mut mistaken) = (0, 0);
    for (page, example) in examples() {
        let Ok(table) = toml::from_str::<Table>(&whole(&example)) else {
            assert!(["syntax", "duplicate-key"].contains(&page.as_str()), "{page}: {example}");
            continue;
        };
        let first = example == examples().iter().find(|(name, _)| *name == page).unwrap().1;
        let is_mistaken = first && [code::UNKNOWN_KEY, code::MISSING_KEY, code::WRONG_TYPE].contains(&page.as_str());
        let json = serde_json::to_value(table).unwrap();
        let errors: Vec<String> = validator.iter_errors(&json).map(|error| error.to_string()).collect();
        // A word that is none of those that a key takes is a mistake for both.
        if page != code::BAD_VALUE || !first {
            assert_eq!(!errors.is_empty(), is_mistaken, "{page}: {errors:?}\n{example}");
        }
        *(if is_mistaken { &mut mistaken } else { &mut fitting }) += 1;
    }
    assert!(fitting > 60 && mistaken == 3, "{fitting} {mistaken}");
}

/// Every place of a key in the file: the names of tables on the way, the first entry of lists.
fn places(value: &toml::Value, way: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    match value {
        toml::Value::Table(table) => {
            for (name, value) in table {
                way.push(name.clone());
                found.push(way.clone());
                places(value, way, found);
                way.pop();
            }
        }
        toml::Value::Array(values) => values.iter().take(1).for_each(|value| places(value, way, found)),
        _ => {}
    }
}

/// The value at a place.
fn at<'a>(value: &'a mut toml::Value, way: &[String]) -> &'a mut toml::Value {
    match (value, way) {
        (value, []) => value,
        (toml::Value::Array(values), _) => at(&mut values[0], way),
        (toml::Value::Table(table), [name, rest @ ..]) => at(table.get_mut(name).unwrap(), rest),
        _ => unreachable!("a place leads through tables"),
    }
}

#[test]
fn the_schema_refuses_what_the_parser_refuses_for_its_type_and_nothing_that_it_takes() {
    const SAMPLES: &str = "a = 'users'\nb = 1\nc = 0\nd = 1.5\ne = true\nf = ['a']\ng = [1]\nh = {}\ni = '1h'\nj = [{}]\nk = []\n\
                           l = 'insert'\nm = ['update']\nn = { group = 'a' }\no = { colour = 'red' }";
    const RULE: &str = "[[watch]]\nmodel = 'shop.Order'\nfields = ['a']\nrelated = { customer = { column = 'a', table = 'b', key = 'c', \
                        fields = ['d'] } }\n[[watch.rule]]\non = 'update'\nchanged = 'a'\nwhen = 'row.a'\nfollow = true\n\
                        target = { user = 'a' }\nevent_class = 'x'\nmessage = 'x'\ndata = ['a']\n[[watch.rule]]\nchannel = 'news:a'";
    const HUB: &str = "[hub]\napi_key = 'a'\ntoken_secret = 'b'\nclients = 5\n[channels.'news:a']\nallow = 'users'\npublish = 'users'\n\
                       history = { size = 5, ttl = '1h' }";
    let validator = validator();
    let samples: Table = toml::from_str(SAMPLES).unwrap();
    let full = FULL.split("[[watch]]").next().unwrap();
    let bases = [
        full.to_owned(),
        format!("{HEAD}{RULE}"),
        format!("{HEAD}{HUB}\n[[watch]]\nmodel = 'shop.Order'\n"),
    ];
    let (mut refused, mut taken) = (0, 0);
    for base in bases {
        let base = toml::Value::Table(toml::from_str(&base).unwrap());
        let mut all = Vec::new();
        places(&base, &mut Vec::new(), &mut all);
        for (way, sample) in all.iter().flat_map(|way| samples.values().map(move |sample| (way, sample))) {
            let mut changed = base.clone();
            *at(&mut changed, way) = sample.clone();
            let text = toml::to_string(&changed).unwrap();
            let fits = validator.is_valid(&serde_json::to_value(&changed).unwrap());
            let codes = problems(&text);
            let mistyped = codes.iter().any(|code| [code::WRONG_TYPE, code::UNKNOWN_KEY].contains(code));
            let place = way.join(".");
            assert!(!(fits && mistyped), "{place} = {sample}: fits, and the parser says {codes:?}");
            let any = [code::WRONG_TYPE, code::UNKNOWN_KEY, code::MISSING_KEY, code::BAD_VALUE];
            let bad = codes.iter().any(|code| any.contains(code));
            assert!(fits || bad, "{place} = {sample}: does not fit, and the parser says {codes:?}");
            *(if fits { &mut taken } else { &mut refused }) += 1;
        }
    }
    assert!(refused > 300 && taken > 100, "{refused} {taken}");
}
