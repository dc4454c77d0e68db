//! The links of every page.

use std::path::{Component, Path, PathBuf};

use crate::support::cache::manifest;
use crate::support::document::{anchors, is_page, links, pages};

/// Resolves `.` and `..` in a path.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => assert!(plain.pop(), "{} leaves the repository", path.display()),
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

#[test]
fn every_relative_link_leads_to_a_file_and_to_a_heading_that_there_are() {
    let mut seen = 0;
    for page in pages() {
        for link in links(&page) {
            if link.contains("://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() {
                PathBuf::from(&page)
            } else {
                plain(&Path::new(&page).with_file_name("").join(file))
            };
            let target = target.to_str().unwrap();
            assert!(manifest(target).exists(), "{page}: ({link}): there is no {target}");
            if !anchor.is_empty() {
                let known = anchors(target);
                assert!(
                    known.iter().any(|known| known == anchor),
                    "{page}: ({link}): the headings of {target} are {known:?}"
                );
            }
            seen += 1;
        }
    }
    assert!(seen > 100, "{seen} links");
}

#[test]
fn the_index_names_every_page_once() {
    let mut listed: Vec<String> = links("docs/README.md");
    listed.retain(|link| is_page(link));
    listed.sort();
    let mut wanted: Vec<String> = pages();
    wanted.retain(|page| page.starts_with("docs/") && page != "docs/README.md" && !page.starts_with("docs/diagnostics/"));
    let mut wanted: Vec<String> = wanted
        .iter()
        .map(|page| page.trim_start_matches("docs/").to_owned())
        .collect();
    wanted.push("../README.md".to_owned());
    wanted.push("../python/README.md".to_owned());
    wanted.sort();
    assert_eq!(listed, wanted);
}
