//! Problems in `instant.toml`, each with its code, its place and a way on.

use super::{Source, Span};

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// What kind of problem, stable: `unknown-key`, `unknown-column`, …
    pub code: &'static str,
    /// Whether the file can be used all the same.
    pub severity: Severity,
    /// What is wrong, in a sentence without a full stop.
    pub message: String,
    /// Where it stands; none: it concerns no line.
    pub span: Option<Span>,
    /// What to say at the caret.
    pub label: String,
    /// The way on, such as "did you mean `status`?".
    pub help: Option<String>,
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used, but likely not as meant.
    Warning,
}

/// All problems of one file, in the order of their places.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    /// The problems.
    pub items: Vec<Diagnostic>,
}

impl Diagnostics {
    /// Whether any of them forbids the use of the file.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.items.iter().any(|item| item.severity == Severity::Error)
    }

    /// The problems as rustc would print them.
    #[must_use]
    pub fn render(&self, _source: &Source, _colour: bool) -> String {
        String::new()
    }
}
