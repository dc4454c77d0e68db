//! The design's arrows: a room imports only from the rooms before it, and pure rooms import no I/O.

use std::fs;
use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::support::cache::manifest;

/// The rooms in the order of a change's path. Each may use those before it, and so `cli` all of them.
const ROOMS: [&str; 12] = [
    "change",
    "config",
    "django",
    "capture",
    "outbox",
    "mapping",
    "publisher",
    "relay",
    "hub",
    "access",
    "web",
    "cli",
];

/// Rooms and files that only compute.
const PURE: [&str; 6] = [
    "change",
    "config",
    "mapping",
    "capture::trigger",
    "capture::plan",
    "capture::watch",
];

/// The one pure file that may read files: it finds and reads `instant.toml`.
const LOADER: &str = "config::file";

/// Paths that do I/O, by their first segments.
const IO: [&[&str]; 7] = [
    &["tokio"],
    &["sqlx"],
    &["tokio_postgres"],
    &["reqwest"],
    &["std", "net"],
    &["std", "fs"],
    &["std", "process"],
];

/// A path in the source, with `use` groups and `super` expanded.
type Words = Vec<String>;

#[test]
fn rooms_import_only_from_the_rooms_before_them_and_pure_rooms_touch_nothing() {
    let source = manifest("src");
    let mut complaints = Vec::new();
    visit(&source, &mut |file| {
        let path = file.strip_prefix(&source).unwrap();
        if path != Path::new("main.rs") && path != Path::new("lib.rs") {
            complaints.extend(check(&module(path), &fs::read_to_string(file).unwrap()));
        }
    });
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn a_room_that_imports_a_later_one_is_found() {
    for source in [
        "use crate::relay::Relay;",
        "use crate::{change::Change, relay::Relay};",
        "use super::super::relay;",
        "use super::super::{change, relay::{Lane, Lanes}};",
        "fn f() { crate::relay::start(); }",
        "fn f() { tokio::select! { _ = crate::relay::run() => {} } }",
        "mod tests { use super::super::super::relay::Relay; }",
    ] {
        let complaints = check("outbox::window", source);
        assert_eq!(
            complaints,
            ["outbox::window uses crate::relay, a room after its own"],
            "{source}"
        );
    }
}

#[test]
fn a_pure_room_that_does_io_is_found() {
    for (source, found) in [
        ("use tokio::time::sleep;", "tokio"),
        ("use std::{fmt, net::IpAddr};", "std::net"),
        ("fn f() { std::fs::read(\"x\"); }", "std::fs"),
        ("async fn f(pool: sqlx::PgPool) {}", "sqlx"),
    ] {
        assert_eq!(
            check("mapping::rule", source),
            [format!("mapping::rule is pure and uses {found}")],
            "{source}"
        );
        assert!(check("outbox::window", source).is_empty(), "{source}: other rooms may");
    }
    assert!(check("config::file", "use std::fs;").is_empty(), "the loader reads the file");
    assert_eq!(
        check("config::file", "use tokio::fs;"),
        ["config::file is pure and uses tokio"]
    );
}

#[test]
fn what_the_design_allows_is_not_complained_about() {
    for source in [
        "use crate::change::Change; use crate::config::{Config, Span};",
        "use super::Outbox; use super::cursor::relay; use self::relay::x;",
        "// crate::relay\nconst TEXT: &str = \"crate::relay\";",
        "/// See [`crate::relay`].\nstruct Cursor;",
        "mod tests { use super::*; use super::super::Outbox; }",
        "fn relay() { relay::x(); }",
    ] {
        assert_eq!(check("outbox::window", source), Vec::<String>::new(), "{source}");
    }
}

#[test]
fn a_room_that_the_design_does_not_name_is_found() {
    assert_eq!(check("utils", ""), ["utils is not a room of the design"]);
}

/// The violations in one module's source.
fn check(module: &str, source: &str) -> Vec<String> {
    let place: Words = module.split("::").map(str::to_owned).collect();
    let Some(own) = order(&place[0]) else {
        return vec![format!("{module} is not a room of the design")];
    };
    let mut paths = Vec::new();
    collect(source.parse().unwrap(), &place, &mut paths);

    let is_pure = PURE
        .iter()
        .any(|pure| module == *pure || module.starts_with(&format!("{pure}::")));
    let mut complaints = Vec::new();
    for path in paths {
        if let [root, room, ..] = path.as_slice()
            && root == "crate"
            && order(room).is_some_and(|order| order > own)
        {
            complaints.push(format!("{module} uses crate::{room}, a room after its own"));
        }
        let io = IO
            .iter()
            .find(|io| path.iter().zip(**io).all(|(word, io)| word == io) && path.len() >= io.len());
        if let Some(io) = io.filter(|io| is_pure && !(module == LOADER && **io == ["std", "fs"])) {
            complaints.push(format!("{module} is pure and uses {}", io.join("::")));
        }
    }
    complaints.dedup();
    complaints
}

fn order(room: &str) -> Option<usize> {
    ROOMS.iter().position(|name| *name == room)
}

/// Collects every path of a token stream, also inside macros. `place` is the module that contains the tokens.
fn collect(tokens: TokenStream, place: &[String], paths: &mut Vec<Words>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at..] {
            [TokenTree::Ident(keyword), TokenTree::Ident(name), TokenTree::Group(body), ..]
                if keyword == "mod" && body.delimiter() == Delimiter::Brace =>
            {
                let inner: Words = place.iter().cloned().chain([name.to_string()]).collect();
                collect(body.stream(), &inner, paths);
                at += 3;
            }
            [TokenTree::Ident(_), ..] => at += path(&tokens[at..], &[], place, paths),
            [TokenTree::Group(group), ..] => {
                collect(group.stream(), place, paths);
                at += 1;
            }
            _ => at += 1,
        }
    }
}

/// Reads one path that starts with an identifier, prefixed with `before`, and returns its number of tokens.
fn path(tokens: &[TokenTree], before: &[String], place: &[String], paths: &mut Vec<Words>) -> usize {
    let mut words = before.to_vec();
    let mut at = 0;
    while let Some(TokenTree::Ident(word)) = tokens.get(at) {
        words.push(word.to_string());
        at += 1;
        if !matches!(tokens.get(at..at + 2), Some([TokenTree::Punct(a), TokenTree::Punct(b)]) if a.as_char() == ':' && b.as_char() == ':')
        {
            break;
        }
        at += 2;
    }
    match tokens.get(at) {
        // `crate::{a, b::c}`: one path for each.
        Some(TokenTree::Group(group)) if is_open(tokens, at) && group.delimiter() == Delimiter::Brace => {
            let inner: Vec<TokenTree> = group.stream().into_iter().collect();
            for part in inner.split(|token| matches!(token, TokenTree::Punct(comma) if comma.as_char() == ',')) {
                path(part, &words, place, paths);
            }
            at + 1
        }
        _ => {
            paths.push(resolve(words, place));
            at.max(1)
        }
    }
}

/// Whether the token at `at` follows `::`.
fn is_open(tokens: &[TokenTree], at: usize) -> bool {
    at >= 2 && matches!(&tokens[at - 1], TokenTree::Punct(colon) if colon.as_char() == ':')
}

/// Expands `self::` and `super::`.
fn resolve(words: Words, place: &[String]) -> Words {
    let supers = words.iter().take_while(|word| *word == "super").count();
    let is_relative = supers > 0 || words.first().is_some_and(|word| word == "self");
    if !is_relative {
        return words;
    }
    let skipped = supers.max(1);
    let base = &place[..place.len().saturating_sub(supers)];
    ["crate".to_owned()]
        .into_iter()
        .chain(base.iter().cloned())
        .chain(words.into_iter().skip(skipped))
        .collect()
}

/// Converts a path such as `outbox/window.rs` to `outbox::window`.
fn module(path: &Path) -> String {
    let words: Vec<_> = path
        .with_extension("")
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    words.join("::")
}

fn visit(folder: &Path, seen: &mut impl FnMut(&Path)) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            visit(&path, seen);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            seen(&path);
        }
    }
}
