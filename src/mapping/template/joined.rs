//! Templates that only put values between constants, as most do. Where the values are strings and integers the engine is not needed:
//! converting and rendering them with it costs more than the rest of the mapping.

use serde_json::value::RawValue;

use crate::config::{Reference, Template};
use crate::mapping::row::{Row, plain};

/// The digits of the largest integers that are taken: a longer one may not be one for the engine.
const DIGITS: usize = 18;

/// The bytes of the longest text that is joined. What becomes longer is the engine's, whose fuel bounds its work.
const LONGEST: usize = 64 << 10;

/// Such a template.
#[derive(Clone, Debug)]
pub(in crate::mapping) struct Joined(Vec<Part>);

#[derive(Clone, Debug)]
enum Part {
    Constant(String),
    /// A column of the row.
    Row(String),
    /// A column of the row before.
    Old(String),
    /// A key of one column.
    Key,
}

impl Joined {
    /// None where the template does more.
    pub(super) fn parse(template: &Template) -> Option<Self> {
        let mut text = template.text.as_str();
        // The engine leaves out a line's end at the text's end.
        if text.contains("{%") || text.contains("{#") || text.ends_with(['\n', '\r']) {
            return None;
        }
        let mut parts = Vec::new();
        while let Some((constant, block)) = text.split_once("{{") {
            let (name, rest) = block.split_once("}}")?;
            parts.push(Part::Constant(constant.to_owned()));
            parts.push(Part::read(name.trim(), &template.references)?);
            text = rest;
        }
        parts.push(Part::Constant(text.to_owned()));
        Some(Self(parts))
    }

    /// The text; none where it is long, or a value is anything but a string or an integer, which the engine is to make a text of.
    pub(super) fn join(&self, row: &Row<'_>) -> Option<String> {
        let mut text = String::with_capacity(64);
        for part in &self.0 {
            let value = match part {
                Part::Constant(constant) => {
                    text.push_str(constant);
                    continue;
                }
                Part::Row(column) => row.current.get(column)?,
                Part::Old(column) => row.old.get(column)?,
                Part::Key => row.sole_key()?,
            };
            if !is_plain(value) || text.len() + value.get().len() > LONGEST {
                return None;
            }
            text.push_str(&plain(value)?);
        }
        Some(text)
    }
}

impl Part {
    /// What a block's name reads; none where it is no name alone.
    fn read(name: &str, references: &[Reference]) -> Option<Self> {
        references.iter().find_map(|reference| match reference {
            Reference::Row(column) => (name.strip_prefix("row.")? == column).then(|| Self::Row(column.clone())),
            Reference::Old(column) => (name.strip_prefix("old.")? == column).then(|| Self::Old(column.clone())),
            Reference::Variable(variable) => (name == "pk" && variable == name).then_some(Self::Key),
            Reference::Related(..) | Reference::Whole(_) => None,
        })
    }
}

/// Whether a value is a string or an integer, whose text is what the engine would render.
fn is_plain(value: &RawValue) -> bool {
    let value = value.get();
    let digits = value.strip_prefix('-').unwrap_or(value);
    let is_integer = digits.len() <= DIGITS && digits.bytes().all(|digit| digit.is_ascii_digit()) && value != "-0";
    is_integer || value.starts_with('"')
}
