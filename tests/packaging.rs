//! How Instant is installed: shell completions, the manual, the packed crate, the wheel, and containers.

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

/// The time limit of a low-priority build, which may begin with the crates that `make test` builds beforehand.
const BUILT: Duration = Duration::from_mins(20);

/// The files that the binary was built from, by the compiler's dependency files, as paths inside the crate's folder. Of the builds that are
/// kept, the newest counts: `cargo test` builds the library once for the binary and the tests.
fn sources() -> Vec<String> {
    let builds = Path::new(env!("CARGO_BIN_EXE_instant")).with_file_name("deps");
    let notes = fs::read_dir(builds).unwrap().map(|entry| entry.unwrap().path());
    let is_note = |path: &PathBuf| {
        path.extension() == Some(OsStr::new("d")) && path.file_name().unwrap().to_str().unwrap().starts_with("instant-")
    };
    let of_library = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        let files = text.lines().find_map(|line| line.split_once(".rlib: "))?.1.to_owned();
        Some((fs::metadata(path).unwrap().modified().unwrap(), files))
    };
    let (_, files) = notes.filter(is_note).filter_map(of_library).max().unwrap();
    let own = manifest("").canonicalize().unwrap();
    let inside = |file: &str| {
        let file = own.join(file).canonicalize().ok()?;
        Some(file.strip_prefix(&own).ok()?.to_str().unwrap().to_owned())
    };
    let mut files: Vec<String> = files.split_whitespace().filter_map(inside).collect();
    files.push("src/main.rs".to_owned());
    assert!(files.iter().any(|file| file == "src/lib.rs"), "{files:?}");
    files
}

/// The target folder of these tests' builds: separate from that of the binary that other tests run meanwhile, and kept between runs.
fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("packaging")
}

/// A command with only Rust and a C compiler on its path. It runs at low priority, since the other tests wait with a deadline.
fn bare(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("nice");
    command.args(["-n", "19"]).arg(manifest("tests/tools/bare")).arg(program);
    command
}
