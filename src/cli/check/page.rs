//! The pages that explain the codes of problems, as embedded in the binary.

/// The pages of `docs/diagnostics`, by their codes.
macro_rules! pages {
    ($($code:literal)*) => {
        &[$(($code, include_str!(concat!("../../../docs/diagnostics/", $code, ".md")))),*]
    };
}

/// Each code with its page.
const PAGES: &[(&str, &str)] = pages! {
    "bad-channel"
    "bad-value"
    "broken-query"
    "cannot-watch"
    "deferrable-key"
    "duplicate-key"
    "duplicate-name"
    "duplicate-rule"
    "duplicate-watch"
    "exclusive-keys"
    "literal-expansion"
    "loose-key"
    "missing-key"
    "missing-row"
    "missing-table"
    "named-like-column"
    "never-fires"
    "no-active-flag"
    "no-foreign-key"
    "no-primary-key"
    "no-single-key"
    "nobody-connects"
    "no-users"
    "not-a-user"
    "not-captured"
    "nothing-watched"
    "partition"
    "repeated-field"
    "shadowed-name"
    "syntax"
    "template-syntax"
    "truncate-without-row"
    "uncertain-column"
    "unheard-channel"
    "unknown-column"
    "unknown-filter"
    "unknown-group"
    "unknown-key"
    "unknown-model"
    "unknown-role"
    "unknown-table"
    "unknown-variable"
    "unset-variable"
    "watched-twice"
    "whole-relation"
    "wrong-type"
};

/// The page that explains `code`.
pub(super) fn page(code: &str) -> Option<&'static str> {
    PAGES.iter().find(|(known, _)| *known == code).map(|(_, page)| *page)
}

/// Every code that has a page.
pub(super) fn codes() -> impl Iterator<Item = &'static str> {
    PAGES.iter().map(|(code, _)| *code)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::{Config, Source};

    /// The contents of the code blocks of a language, in the order of the page.
    fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
        let opening = format!("```{language}\n");
        let parts = page.split(opening.as_str()).skip(1);
        parts.filter_map(|part| part.split("```").next()).collect()
    }

    /// The codes of the problems of an example, which leaves the database out; a repeated one is listed once.
    fn problems(example: &str) -> Vec<&'static str> {
        let source = Source {
            path: "instant.toml".into(),
            text: format!("{example}\n[database]\nurl = 'postgres://localhost/shop'\n").into(),
        };
        let (_, diagnostics) = Config::parse(source, &|_| None);
        let mut codes: Vec<_> = diagnostics.items.iter().map(|item| item.code).collect();
        codes.dedup();
        codes
    }

    #[test]
    fn each_code_has_its_page_and_each_page_its_code() {
        let sources = [
            include_str!("../../config/diagnostic/code.rs"),
            include_str!("../../capture/resolve/code.rs"),
        ];
        let constants = sources.iter().flat_map(|source| source.split("&str = \"").skip(1));
        let known: BTreeSet<&str> = constants.filter_map(|rest| rest.split('"').next()).collect();
        assert_eq!(codes().collect::<BTreeSet<_>>(), known);
        let reference = include_str!("../../../docs/configuration.md");
        for (code, page) in PAGES {
            assert!(page.starts_with(&format!("# `{code}`\n")), "{code}");
            assert!(
                reference.contains(&format!("| [`{code}`](diagnostics/{code}.md) |")),
                "{code}"
            );
        }
    }

    #[test]
    fn each_example_of_a_page_gives_its_code_and_the_fixed_one_gives_no_problem() {
        // The database's codes have tables, and a test of their own.
        for (code, page) in PAGES.iter().filter(|(_, page)| blocks(page, "sql").is_empty()) {
            let examples = blocks(page, "toml");
            let [bad, fixed] = examples[..] else {
                panic!("{code}: {examples:?}")
            };
            assert_eq!(problems(bad), [*code]);
            assert_eq!(problems(fixed), Vec::<&str>::new(), "{code}: {fixed}");
        }
    }
}
