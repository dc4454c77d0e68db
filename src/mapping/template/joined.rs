//! Templates that only put values between constants, as most do. If the values are strings and integers, the engine is not needed:
//! converting and rendering them with it costs more than the rest of the mapping.

use serde_json::value::RawValue;

use crate::config::{Reference, Template};
use crate::mapping::row::{Row, plain};

/// The most digits in an integer that is joined: the engine may not treat a longer one as an integer.
const DIGITS: usize = 18;

/// The most bytes in a joined text. A longer one is rendered by the engine, whose fuel bounds its work.
const LONGEST: usize = 64 << 10;

/// A template of values between constants.
#[derive(Clone, Debug)]
pub(in crate::mapping) struct Joined(Vec<Part>);

#[derive(Clone, Debug)]
enum Part {
    Constant(String),
    /// A column of the row.
    Row(String),
    /// A column of the old row.
    Old(String),
    /// The single-column key.
    Key,
}

impl Joined {
    /// Parses a template; `None` if it does more than join values.
    pub(super) fn parse(template: &Template) -> Option<Self> {
        let mut text = template.text.as_str();
        // The engine strips a line end at the end of the text.
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

    /// Returns the text; `None` if the engine must render it, because it is long or a value is neither a string nor an integer.
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
    /// Returns the value that the name in a block reads; `None` if the block is not just a name.
    fn read(name: &str, references: &[Reference]) -> Option<Self> {
        references.iter().find_map(|reference| match reference {
            Reference::Row(column) => (name.strip_prefix("row.")? == column).then(|| Self::Row(column.clone())),
            Reference::Old(column) => (name.strip_prefix("old.")? == column).then(|| Self::Old(column.clone())),
            Reference::Variable(variable) => (name == "pk" && variable == name).then_some(Self::Key),
            Reference::Related(..) | Reference::Whole(_) => None,
        })
    }
}

/// Returns whether a value is a string or an integer whose text equals the engine's output.
fn is_plain(value: &RawValue) -> bool {
    let value = value.get();
    let digits = value.strip_prefix('-').unwrap_or(value);
    let is_integer = digits.len() <= DIGITS && digits.bytes().all(|digit| digit.is_ascii_digit()) && value != "-0";
    is_integer || value.starts_with('"')
}
