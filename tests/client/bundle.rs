//! The checked-in bundle, compared with its source.

use std::io::Write as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

use crate::support::cache::{self, manifest};
use crate::support::process::Process;
use crate::support::wait::SOON;

/// The largest compressed size of the script, in bytes.
const LARGEST: usize = 40_000;

/// A copy of `client/` with its packages, to build in.
fn workshop() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for part in ["src", "test", "dist"] {
        copy(&manifest("client").join(part), &folder.path().join(part));
    }
    for file in ["build.mjs", "package.json", "tsconfig.json", "NOTICE"] {
        std::fs::copy(manifest("client").join(file), folder.path().join(file)).unwrap();
    }
    let packages = cache::path("client-build/node_modules");
    std::os::unix::fs::symlink(packages, folder.path().join("node_modules")).unwrap();
    folder
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Runs a script of `package.json`, and returns its output.
async fn npm(folder: &TempDir, script: &str) -> String {
    let mut npm = Process::new("npm", folder.path(), &["run", script], &[]);
    let ended = npm.wait(SOON * 6).await;
    assert!(ended.success(), "npm run {script}: {}", npm.output());
    npm.output()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clients_bundles_are_what_its_source_gives_byte_for_byte() {
    let folder = workshop();
    std::fs::remove_dir_all(folder.path().join("dist")).unwrap();
    npm(&folder, "build").await;
    for name in ["instant.js", "instant.mjs", "instant.d.mts"] {
        let built = std::fs::read(folder.path().join("dist").join(name)).unwrap();
        let kept = std::fs::read(manifest("client/dist").join(name)).unwrap();
        assert!(
            built == kept,
            "client/dist/{name} is not what client/src gives: run `npm ci && npm run build` in client"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clients_own_tests_pass_and_its_types_fit() {
    let folder = workshop();
    npm(&folder, "check").await;
    let said = npm(&folder, "test").await;
    let passed = said
        .lines()
        .find_map(|line| line.trim_start_matches(['#', 'ℹ', ' ']).strip_prefix("pass "));
    assert!(passed.is_some_and(|passed| passed.parse::<u32>().unwrap() > 20), "{said}");
}

#[test]
fn the_script_has_less_than_forty_kilobytes_on_its_way() {
    let script = std::fs::read(manifest("client/dist/instant.js")).unwrap();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&script).unwrap();
    let compressed = encoder.finish().unwrap().len();
    assert!(compressed < LARGEST, "{compressed} bytes");
}

#[test]
fn the_bundles_carry_the_licences_of_what_they_contain() {
    let notice = std::fs::read_to_string(manifest("client/NOTICE")).unwrap();
    for package in ["centrifuge", "events"] {
        let licence = cache::path(&format!("client-build/node_modules/{package}/LICENSE"));
        let licence = std::fs::read_to_string(licence).unwrap();
        assert!(notice.contains(licence.trim()), "the licence of {package}");
    }
    for bundle in ["instant.js", "instant.mjs"] {
        let code = std::fs::read_to_string(manifest("client/dist").join(bundle)).unwrap();
        assert!(code.contains(&notice), "{bundle}");
    }
}
