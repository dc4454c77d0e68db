//! The state shared by all parts of the parser: the file's text, the environment, and the problems found so far.

use super::diagnostic::{Diagnostic, Diagnostics};
use super::{Span, Spanned};

/// The state of parsing one file.
pub(super) struct Parser<'a> {
    /// The text, for locating parts of values.
    pub(super) text: &'a str,
    /// Looks up an environment variable.
    pub(super) environment: &'a dyn Fn(&str) -> Option<String>,
    /// The problems so far, in the order in which they were found.
    pub(super) diagnostics: Diagnostics,
}

impl<'a> Parser<'a> {
    /// Creates a parser of `text` without any problems.
    pub(super) fn new(text: &'a str, environment: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            text,
            environment,
            diagnostics: Diagnostics::default(),
        }
    }

    /// Records a problem.
    pub(super) fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Returns the location of a byte range in a string's value, or of the whole value if escapes in the string hide it.
    pub(super) fn inside(&self, value: &Spanned<String>, range: Span) -> Span {
        let found = self.text.get(value.span.clone()).filter(|_| !value.value.is_empty());
        let start = found.and_then(|raw| raw.find(&value.value));
        match start {
            Some(start) if range.start <= range.end && range.end <= value.value.len() => {
                let start = value.span.start + start;
                // A range at the very end is shown at the closing quote.
                start + range.start..start + range.end.max(range.start + 1)
            }
            _ => value.span.clone(),
        }
    }
}
