//! The JSON Schema of `instant.toml`, for editors: generated from the keys of the parser and their descriptions in the reference.

use serde_json::{Map, Value, json};

use super::key::{Key, Keys, Kind};
use super::root;

/// The reference of the file, whose tables describe each key.
const REFERENCE: &str = include_str!("../../docs/configuration.md");
/// The dialect that TOML editors support.
const DIALECT: &str = "http://json-schema.org/draft-07/schema#";
/// A pattern for durations such as `90s` or `1h30m`, and for variables that hold one.
const DURATION: &str = r"^\s*([0-9]+\s*[smhdw]\s*)+$|^\$\{.*\}$";

/// Returns the schema.
#[must_use]
pub fn schema() -> Value {
    let mut schema = table(&root::KEYS);
    schema["$schema"] = DIALECT.into();
    schema["title"] = "instant.toml".into();
    schema
}

fn table(keys: &Keys) -> Value {
    let property = |key: &Key| (key.name.to_owned(), described(keys, key));
    let properties: Map<String, Value> = keys.entries.iter().map(property).collect();
    let others = keys.others.map_or(Value::Bool(false), |kind| of(&kind));
    let mut table = json!({ "type": "object", "properties": properties, "additionalProperties": others });
    let required: Vec<&str> = keys.entries.iter().filter(|key| key.required).map(|key| key.name).collect();
    if !required.is_empty() {
        table["required"] = required.into();
    }
    if !keys.one_of.is_empty() {
        table["anyOf"] = keys.one_of.iter().map(|name| json!({ "required": [name] })).collect();
    }
    table
}

fn described(keys: &Keys, key: &Key) -> Value {
    let mut property = of(&key.kind);
    if let Some(meaning) = meaning(keys.name, key.name) {
        property["description"] = meaning.into();
    }
    property
}

fn of(kind: &Kind) -> Value {
    let texts = || json!({ "type": "array", "items": { "type": "string" } });
    match kind {
        Kind::Text => json!({ "type": "string" }),
        Kind::Words(words) => json!({ "enum": words }),
        Kind::Duration => json!({ "type": "string", "pattern": DURATION }),
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Positive => json!({ "type": "integer", "minimum": 1 }),
        Kind::Texts => texts(),
        Kind::OneOrMore => json!({ "anyOf": [{ "type": "string" }, texts()] }),
        Kind::OneOrMoreWords(words) => {
            let one = json!({ "enum": words });
            json!({ "anyOf": [one, { "type": "array", "items": one }] })
        }
        Kind::Table(keys) => table(keys),
        Kind::Tables(keys) => json!({ "type": "array", "items": table(keys) }),
        Kind::Any(kinds) => json!({ "anyOf": kinds.iter().map(of).collect::<Vec<_>>() }),
    }
}

/// Returns the description in the reference of a key of the table `name`; `None` if it has no row of its own.
fn meaning(name: &str, key: &str) -> Option<String> {
    let heading = match name {
        "" => "Top level",
        "related" => "Related rows",
        "collapse" => "Collapse",
        "[channels.\"…\"]" => "[channels]",
        other => other,
    };
    let mut current = String::new();
    for line in REFERENCE.lines() {
        if let Some(title) = line.strip_prefix('#') {
            current = title.trim_start_matches('#').trim().replace('`', "");
        }
        if current != heading {
            continue;
        }
        let row = line.strip_prefix("| `").and_then(|rest| rest.strip_suffix(" |"));
        let Some((name, meaning)) = row.and_then(|row| Some((row.split_once('`')?.0, row.rsplit_once("| ")?.1))) else {
            continue;
        };
        // A nested table is listed with its whole path.
        if name.trim_matches(['[', ']']).rsplit('.').next() == Some(key) {
            return Some(without_links(meaning));
        }
    }
    None
}

/// Replaces each link in `text` with its link text.
fn without_links(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, link)) = rest.split_once('[') {
        plain.push_str(before);
        let parts = link.split_once("](").filter(|(words, _)| !words.contains(']'));
        let parts = parts.and_then(|(words, after)| Some((words, after.split_once(')')?.1)));
        if let Some((words, after)) = parts {
            plain.push_str(words);
            rest = after;
        } else {
            plain.push('[');
            rest = link;
        }
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Collects every table of the file, including the top level.
    fn tables<'a>(keys: &'a Keys, found: &mut Vec<&'a Keys>) {
        fn of<'a>(kind: &'a Kind, found: &mut Vec<&'a Keys>) {
            match kind {
                Kind::Table(keys) | Kind::Tables(keys) => tables(keys, found),
                Kind::Any(kinds) => kinds.iter().for_each(|kind| of(kind, found)),
                _ => {}
            }
        }
        found.push(keys);
        keys.entries
            .iter()
            .map(|key| &key.kind)
            .chain(&keys.others)
            .for_each(|kind| of(kind, found));
    }

    #[test]
    fn the_reference_describes_each_key() {
        let mut found = Vec::new();
        tables(&root::KEYS, &mut found);
        // The keys of these small tables are described with the tables themselves.
        let is_small = |keys: &&&Keys| matches!(keys.name, "history" | "target");
        assert_eq!(found.iter().filter(is_small).count(), 2);
        for keys in found.iter().filter(|keys| !is_small(keys)) {
            for key in keys.entries {
                assert!(meaning(keys.name, key.name).is_some(), "{} {}", keys.name, key.name);
            }
        }
    }

    #[test]
    fn a_link_becomes_its_text() {
        assert_eq!(without_links("a [list] of [rows](#rows), [x](y.md)"), "a [list] of rows, x");
    }
}
