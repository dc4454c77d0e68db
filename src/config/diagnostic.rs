//! Problems in `instant.toml`, each with its code, its location and a suggestion.

pub mod code;
mod mask;
mod render;

use super::{Source, Span};

/// A problem in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The stable code of its kind: `unknown-key`, `unknown-column`, …
    pub code: &'static str,
    /// Whether the file can still be used.
    pub severity: Severity,
    /// The message, without a full stop.
    pub message: String,
    /// Its location; `None` if it concerns no particular line.
    pub span: Option<Span>,
    /// The label at the caret.
    pub label: String,
    /// A suggestion, such as "did you mean `status`?".
    pub help: Option<String>,
}

/// The severity of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used, but is probably not what was intended.
    Warning,
}

/// All problems of one file, in the order of their locations.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    /// The problems.
    pub items: Vec<Diagnostic>,
}

impl Diagnostic {
    /// Creates a problem that prevents the use of the file; `code` is one of [`code`].
    #[must_use]
    pub fn error(code: &'static str, span: Span, message: impl Into<String>, label: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            span: Some(span),
            label: label.into(),
            help: None,
        }
    }

    /// Creates a problem with which the file can still be used; `code` is one of [`code`].
    #[must_use]
    pub fn warning(code: &'static str, span: Span, message: impl Into<String>, label: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(code, span, message, label)
        }
    }

    /// Sets the suggestion, if there is one.
    #[must_use]
    pub fn help(mut self, help: impl Into<Option<String>>) -> Self {
        self.help = help.into();
        self
    }
}

impl Diagnostics {
    /// Returns whether any of them prevents the use of the file.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.items.iter().any(|item| item.severity == Severity::Error)
    }

    /// Adds a problem.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.items.push(diagnostic);
    }

    /// Sorts the problems by location; those without one come last.
    pub fn sort(&mut self) {
        self.items.sort_by_key(|item| {
            item.span
                .as_ref()
                .map_or((usize::MAX, usize::MAX), |span| (span.start, span.end))
        });
    }

    /// Renders the problems in the style of rustc, separated by blank lines; empty if there are none.
    ///
    /// Literal secrets in the excerpts of `source` are masked.
    #[must_use]
    pub fn render(&self, source: &Source, colour: bool) -> String {
        render::render(&self.items, source, colour)
    }
}
