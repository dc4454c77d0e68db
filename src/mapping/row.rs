//! The captured columns of a change, as raw JSON values that are not parsed yet.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::related::Related;
use crate::change::{Change, Operation};

/// The columns of a change, borrowed from it, and the related rows of other tables.
#[derive(Debug)]
pub(super) struct Row<'a> {
    /// The new version, or the old one of a delete.
    pub(super) current: Columns<'a>,
    /// The version before an update, or of a delete.
    pub(super) old: Columns<'a>,
    /// The names of the key's columns.
    key: &'a [String],
    /// The related rows.
    pub(super) related: Related<'a>,
}

/// One version of a row: names and raw values, in the order of capture.
#[derive(Clone, Debug, Default)]
pub(super) struct Columns<'a>(Vec<(Name<'a>, &'a RawValue)>);

/// A column's name, borrowed unless it is escaped in JSON.
#[derive(Clone, Debug)]
struct Name<'a>(Cow<'a, str>);

impl<'a> Row<'a> {
    /// Reads both versions of `change`.
    pub(super) fn read(change: &Change<'a>, key: &'a [String], related: Related<'a>) -> Result<Self, serde_json::Error> {
        let parse = |text: Option<&'a str>| text.map_or_else(|| Ok(Columns::default()), Columns::parse);
        let (row, old) = match change.operation {
            Operation::Delete => (change.old, change.old),
            _ => (change.new, change.old),
        };
        Ok(Self {
            current: parse(row)?,
            old: parse(old)?,
            key,
            related,
        })
    }

    /// Returns the row as it was before an update.
    pub(super) fn former(&self) -> Self {
        Self {
            current: self.old.clone(),
            old: Columns::default(),
            key: self.key,
            related: self.related,
        }
    }

    /// Appends the primary key as JSON: a value, a list if the key is composite, or `null` without a key or, for a truncate, a row.
    pub(super) fn write_pk(&self, out: &mut Vec<u8>) {
        let value = |name: &String| self.current.get(name).map_or("null", RawValue::get);
        match self.key {
            names if names.iter().all(|name| self.current.get(name).is_none()) => out.extend_from_slice(b"null"),
            [name] => out.extend_from_slice(value(name).as_bytes()),
            names => {
                for (index, name) in names.iter().enumerate() {
                    out.push(if index == 0 { b'[' } else { b',' });
                    out.extend_from_slice(value(name).as_bytes());
                }
                out.push(b']');
            }
        }
    }

    /// Iterates over the captured values of the key's columns.
    pub(super) fn pk(&self) -> impl Iterator<Item = &'a RawValue> {
        self.key.iter().filter_map(|name| self.current.get(name))
    }

    /// Returns the value of a single-column key.
    pub(super) fn sole_key(&self) -> Option<&'a RawValue> {
        match self.key {
            [name] => self.current.get(name),
            _ => None,
        }
    }

    /// Returns whether an update changed one of `columns`. A column whose former value is missing counts as changed: better one event
    /// too many than none.
    pub(super) fn changed(&self, columns: &[String]) -> bool {
        columns
            .iter()
            .any(|column| match (self.current.get(column), self.old.get(column)) {
                (Some(new), Some(old)) => new.get() != old.get(),
                _ => true,
            })
    }
}

impl<'a> Columns<'a> {
    /// Parses a flat JSON object, but not its values.
    pub(super) fn parse(text: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// Returns whether all of `columns` were captured.
    pub(super) fn has(&self, columns: &[String]) -> bool {
        columns.iter().all(|column| self.get(column).is_some())
    }

    /// Returns the raw value of a column.
    pub(super) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(column, _)| column.0 == name).map(|(_, value)| *value)
    }

    /// Iterates over all columns, in the order of capture.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(name, value)| (name.0.as_ref(), *value))
    }
}

/// Returns a scalar JSON value without its quotes; `None` for null.
pub(super) fn plain(value: &RawValue) -> Option<Cow<'_, str>> {
    let json = value.get();
    match json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(text) if !text.contains('\\') => Some(text.into()),
        Some(_) => serde_json::from_str(json).ok().map(Cow::Owned),
        None => (json != "null").then_some(json.into()),
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Columns<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object<'a>(PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for Object<'a> {
            type Value = Columns<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of columns")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut columns = Vec::with_capacity(8);
                while let Some(column) = map.next_entry()? {
                    columns.push(column);
                }
                Ok(Columns(columns))
            }
        }
        deserializer.deserialize_map(Object(PhantomData))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text<'a>(PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for Text<'a> {
            type Value = Name<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a column's name")
            }

            fn visit_borrowed_str<E: Error>(self, name: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(Text(PhantomData))
    }
}
