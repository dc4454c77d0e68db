//! The demo's Django code is that of any project: it does not depend on Instant.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::cache::manifest;

/// Words of code that would publish a project's changes itself.
const FORBIDDEN: [&str; 8] = [
    "instant",
    "centrifug",
    "signals",
    "receiver(",
    "post_save",
    "pre_save",
    "post_delete",
    "m2m_changed",
];

/// The files below a folder whose names have this ending.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.to_str().unwrap().ends_with(ending) {
            found.push(path);
        }
    }
    found
}

#[test]
fn the_demos_django_code_names_nothing_of_instant_and_has_no_signal_handler() {
    let sources = files(&manifest("demo"), ".py");
    assert!(sources.len() > 30, "{sources:?}");
    for path in sources {
        let text = fs::read_to_string(&path).unwrap().to_lowercase();
        // The address of the script that the pages load is one of the project's settings.
        let text = text.replace("8001/instant.js", "");
        for word in FORBIDDEN {
            assert!(!text.contains(word), "{} has `{word}`", path.display());
        }
    }
}

#[test]
fn one_script_tag_in_the_base_template_connects_every_page_of_the_demo() {
    let templates = files(&manifest("demo"), ".html");
    let tags: Vec<PathBuf> = templates
        .into_iter()
        .filter(|path| fs::read_to_string(path).unwrap().contains("realtime_script"))
        .collect();
    assert_eq!(tags, [manifest("demo/templates/base.html")]);
}

#[test]
fn the_demos_pages_and_styles_ask_nobody_else() {
    for ending in [".html", ".css", ".js"] {
        for path in files(&manifest("demo"), ending) {
            let text = fs::read_to_string(&path).unwrap();
            assert!(!text.contains("://"), "{} has an address", path.display());
        }
    }
}
