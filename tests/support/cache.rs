//! The folder that `tests/tools/setup` fills.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// The cache folder; the script defines where it is.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let script = manifest("tests/tools/setup");
    let output = Command::new(&script).arg("--where").output().unwrap();
    assert!(output.status.success(), "{} --where failed", script.display());
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim_end())
});

/// Returns a path inside the crate's folder.
pub(crate) fn manifest(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Returns a path inside the cache; `None` if setup could not make it.
pub(crate) fn find(path: &str) -> Option<PathBuf> {
    Some(FOLDER.join(path)).filter(|found| found.exists())
}

/// Returns a path inside the cache.
///
/// # Panics
/// When it does not exist, naming the command that creates it.
pub(crate) fn path(path: &str) -> PathBuf {
    find(path).unwrap_or_else(|| panic!("{} is missing: run `make setup`", FOLDER.join(path).display()))
}
