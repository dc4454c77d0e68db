//! The parser's state, shared by all of its parts: the file's text, the environment, the problems found so far.

use super::diagnostic::{Diagnostic, Diagnostics};
use super::{Span, Spanned};

/// The state of parsing one file.
pub(super) struct Parser<'a> {
    /// The text, to locate parts of values.
    pub(super) text: &'a str,
    /// Looks an environment variable up.
    pub(super) environment: &'a dyn Fn(&str) -> Option<String>,
    /// The problems so far, in the order they were found.
    pub(super) diagnostics: Diagnostics,
}

impl<'a> Parser<'a> {
    /// A parser of `text` that has found no problems yet.
    pub(super) fn new(text: &'a str, environment: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            text,
            environment,
            diagnostics: Diagnostics::default(),
        }
    }

    /// Adds a problem to those found.
    pub(super) fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// The location of a byte range of a string's value; the whole value's when escapes in the string hide it.
    pub(super) fn inside(&self, value: &Spanned<String>, range: Span) -> Span {
        let found = self.text.get(value.span.clone()).filter(|_| !value.value.is_empty());
        let start = found.and_then(|raw| raw.find(&value.value));
        match start {
            Some(start) if range.start <= range.end && range.end <= value.value.len() => {
                let start = value.span.start + start;
                // A place at the very end is shown at the closing quote.
                start + range.start..start + range.end.max(range.start + 1)
            }
            _ => value.span.clone(),
        }
    }
}
