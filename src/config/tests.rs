//! Tests of whole configuration files.

mod codes;
mod full;
mod secret;
mod whole;

use super::diagnostic::Diagnostics;
use super::{Config, Source};

/// A file with every key of this version.
const FULL: &str = include_str!("../../tests/fixtures/full.toml");

/// The beginning of the file in most tests.
const HEAD: &str = "[database]\nurl = \"${DATABASE_URL}\"\n";

fn source(text: &str) -> Source {
    Source {
        path: "instant.toml".into(),
        text: text.into(),
    }
}

fn environment(name: &str) -> Option<String> {
    (name == "DATABASE_URL").then(|| "postgres://shop:s3cret@localhost/shop".to_owned())
}

fn parse(text: &str) -> (Option<Config>, Diagnostics) {
    Config::parse(source(text), &environment)
}

fn rendered(text: &str) -> String {
    parse(text).1.render(&source(text), false)
}

/// The codes of the problems of a file, in order.
fn problems(text: &str) -> Vec<&'static str> {
    parse(text).1.items.iter().map(|item| item.code).collect()
}

/// Returns a file with one watch of `shop.Order` and one rule.
fn with_rule(fields: &str, rule: &str) -> String {
    format!("{HEAD}[[watch]]\nmodel = \"shop.Order\"\nfields = {fields}\n[[watch.rule]]\n{rule}\n")
}
