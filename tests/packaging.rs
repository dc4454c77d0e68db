//! How Instant comes to a machine: shell completions, the manual, the packed crate, the wheel, and containers.

mod archive;
mod compose;
mod containers;
mod native;
mod shell;
mod wheel;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use crate::support::cache::manifest;

/// In which a build ends that makes way for all other tests, and may begin with the crates that `make test` builds beforehand.
const BUILT: Duration = Duration::from_mins(20);

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

/// Where builds of these tests keep their objects: apart from the binary that other tests run meanwhile, and from one run to the next.
fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("packaging")
}

/// A program that finds Rust and a C compiler and nothing else. It makes way for all others, which wait with a deadline.
fn bare(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("nice");
    command.args(["-n", "19"]).arg(manifest("tests/tools/bare")).arg(program);
    command
}
