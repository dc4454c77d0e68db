//! How Instant comes to a machine: shell completions, the manual, the packed crate, the wheel, and containers.

mod compose;
mod containers;
mod native;
mod shell;

use std::fs;
use std::path::Path;

use crate::support::cache::manifest;

/// The files that the binary was built from, by what the compiler has noted, as paths inside the crate's folder.
fn sources() -> Vec<String> {
    let noted = fs::read_to_string(Path::new(env!("CARGO_BIN_EXE_instant")).with_extension("d")).unwrap();
    let (_, files) = noted.split_once(": ").unwrap();
    let own = manifest("");
    let files: Vec<String> = files
        .split_whitespace()
        .filter_map(|file| Path::new(file).strip_prefix(&own).ok())
        .map(|file| file.to_str().unwrap().to_owned())
        .collect();
    assert!(files.iter().any(|file| file == "src/main.rs"), "{noted}");
    files
}
