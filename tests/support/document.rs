//! The pages of the documentation: their snippets, links and headings.

use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use crate::support::cache::manifest;

/// A fenced snippet.
#[derive(Clone, Debug)]
pub(crate) struct Snippet {
    /// The first word after the fence; empty if there is none.
    pub(crate) language: String,
    /// The text between the fences.
    pub(crate) text: String,
    /// The line of its opening fence in the page.
    pub(crate) line: usize,
}

/// Returns the snippets of a page, in order.
pub(crate) fn snippets(page: &str) -> Vec<Snippet> {
    let text = read(page);
    let mut found: Vec<Snippet> = Vec::new();
    let mut is_inside = false;
    for (event, range) in Parser::new_ext(&text, options()).into_offset_iter() {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                is_inside = true;
                found.push(Snippet {
                    language: info.split_whitespace().next().unwrap_or_default().to_owned(),
                    text: String::new(),
                    line: text[..range.start].matches('\n').count() + 1,
                });
            }
            Event::End(TagEnd::CodeBlock) => is_inside = false,
            Event::Text(part) if is_inside => found.last_mut().unwrap().text.push_str(&part),
            _ => {}
        }
    }
    found
}

/// Returns the texts of a page's snippets in one language.
pub(crate) fn in_language(page: &str, language: &str) -> Vec<String> {
    let mut found = snippets(page);
    found.retain(|snippet| snippet.language == language);
    found.into_iter().map(|snippet| snippet.text).collect()
}

/// Returns the targets of a page's links and pictures.
pub(crate) fn links(page: &str) -> Vec<String> {
    let text = read(page);
    let parser = Parser::new_ext(&text, options());
    parser
        .filter_map(|event| match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => Some(dest_url.into_string()),
            _ => None,
        })
        .collect()
}

/// Returns the anchors of a page's headings, as GitHub makes them.
pub(crate) fn anchors(page: &str) -> Vec<String> {
    let text = read(page);
    let mut anchors: Vec<String> = Vec::new();
    let mut heading: Option<String> = None;
    for event in Parser::new_ext(&text, options()) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => {
                let anchor = anchor(&heading.take().unwrap_or_default());
                let same = anchors.iter().filter(|known| **known == anchor).count();
                anchors.push(if same == 0 { anchor } else { format!("{anchor}-{same}") });
            }
            Event::Text(part) | Event::Code(part) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&part);
                }
            }
            _ => {}
        }
    }
    anchors
}

/// Returns the pages of the documentation, as paths in the repository.
pub(crate) fn pages() -> Vec<String> {
    let mut found = vec!["README.md".to_owned()];
    for folder in ["docs", "client", "python"] {
        collect(folder, &mut found);
    }
    found.sort();
    found
}

/// Whether a path is that of a page.
pub(crate) fn is_page(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension == "md")
}

/// Reads the text of a page.
pub(crate) fn read(page: &str) -> String {
    std::fs::read_to_string(manifest(page)).unwrap_or_else(|error| panic!("{page}: {error}"))
}

fn options() -> Options {
    Options::ENABLE_TABLES
}

/// Makes an anchor: letters, digits, `-` and `_` in lower case, and a dash for each space.
fn anchor(heading: &str) -> String {
    let letters = heading.trim().chars().filter_map(|letter| match letter {
        ' ' => Some('-'),
        '-' | '_' => Some(letter),
        _ => Some(letter).filter(|letter| letter.is_alphanumeric()),
    });
    letters.flat_map(char::to_lowercase).collect()
}

fn collect(folder: &str, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(manifest(folder)).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        let name = format!("{folder}/{}", path.file_name().unwrap().to_str().unwrap());
        if path.is_dir() && !name.ends_with("node_modules") {
            collect(&name, found);
        } else if is_page(&name) {
            found.push(name);
        }
    }
}
