//! Renders problems as text: code, location, excerpt, caret, help.

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::mask::Masked;
use super::{Diagnostic, Severity, Source};

/// The maximum width of a rendered line; excerpts of longer lines are cut around the caret.
const WIDTH: usize = 140;

/// Renders all `items`, with ANSI colours if `colour`.
pub(super) fn render(items: &[Diagnostic], source: &Source, colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() }.term_width(WIDTH);
    let path = source.path.display().to_string();
    let masked = Masked::new(&source.text);
    let reports: Vec<String> = items
        .iter()
        .map(|item| renderer.render(&[group(item, &path, &masked)]).trim_end().to_owned() + "\n")
        .collect();
    reports.join("\n")
}

fn group<'a>(item: &'a Diagnostic, path: &'a str, masked: &'a Masked) -> Group<'a> {
    let level = match item.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(item.message.as_str()).id(item.code);
    let group = match &item.span {
        Some(span) => {
            let annotation = AnnotationKind::Primary.span(masked.locate(span)).label(item.label.as_str());
            title.element(Snippet::source(masked.text.as_str()).path(path).annotation(annotation))
        }
        None => title.element(Origin::path(path)),
    };
    match &item.help {
        Some(help) => group.element(Level::HELP.message(help.as_str())),
        None => group,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::diagnostic::Diagnostics;

    fn source(text: &str) -> Source {
        Source {
            path: "instant.toml".into(),
            text: text.into(),
        }
    }

    #[test]
    fn a_problem_shows_its_code_place_caret_and_help() {
        let source = source("site = 1\nother = \"ä\"\n");
        let mut problems = Diagnostics::default();
        problems.push(Diagnostic::error("wrong-type", 7..8, "`site` must be a string", "an integer"));
        problems.push(Diagnostic::warning("other", 9..14, "hm", "").help("did you mean `site`?".to_owned()));
        insta::assert_snapshot!(problems.render(&source, false));
        assert!(problems.render(&source, true).contains('\u{1b}'));
    }

    #[test]
    fn a_problem_without_a_place_names_the_file() {
        let item = Diagnostic {
            span: None,
            ..Diagnostic::error("missing-key", 0..0, "`[database]` is missing", "")
        };
        insta::assert_snapshot!(Diagnostics { items: vec![item] }.render(&source(""), false));
    }

    #[test]
    fn nothing_is_rendered_when_there_is_no_problem() {
        assert_eq!(Diagnostics::default().render(&source("x"), false), "");
    }

    #[test]
    fn a_span_outside_the_text_or_inside_a_character_does_not_panic() {
        let source = source("site = \"ä\"");
        for start in 0..20 {
            for end in 0..20 {
                let mut problems = Diagnostics::default();
                problems.push(Diagnostic::error("wrong-type", start..end, "x", "y"));
                assert!(problems.render(&source, false).contains("instant.toml"));
            }
        }
    }
}
