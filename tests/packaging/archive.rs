//! The packed crate: what `cargo install` builds from, with nothing but Rust and a C compiler.

use tokio::process::Command;

use super::{BUILT, target};
use crate::support::cache::manifest;
use crate::support::wait::within;

async fn output(mut command: Command) -> String {
    command.kill_on_drop(true);
    let what = format!("the end of {command:?}");
    let output = within(BUILT, &what, command.output()).await.unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// A cargo command, offline.
fn cargo(subcommand: &str) -> Command {
    let mut command = Command::new("cargo");
    command.args([subcommand, "--offline"]).current_dir(manifest(""));
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn the_packed_crate_holds_every_file_that_the_binary_is_built_from() {
    let mut list = cargo("package");
    list.args(["--list", "--allow-dirty"]);
    let listed = output(list).await;
    for file in super::sources() {
        assert!(listed.lines().any(|line| line == file), "{file} is not packed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_packed_crate_installs_where_there_is_no_node_go_or_python() {
    let folder = tempfile::tempdir().unwrap();
    let packed = folder.path().join("packed");
    let mut package = cargo("package");
    package
        .args(["--quiet", "--no-verify", "--allow-dirty", "--target-dir"])
        .arg(&packed);
    output(package).await;
    let name = concat!("django-instant-", env!("CARGO_PKG_VERSION"));
    let mut tar = Command::new("tar");
    tar.arg("xzf")
        .arg(packed.join(format!("package/{name}.crate")))
        .current_dir(folder.path());
    output(tar).await;

    let mut install = super::bare("cargo");
    install.args([
        "install",
        "--offline",
        "--quiet",
        "--locked",
        "--debug",
        "--path",
        name,
        "--root",
        "installed",
    ]);
    install.arg("--target-dir").arg(target()).current_dir(folder.path());
    output(install).await;
    let mut installed = Command::new(folder.path().join("installed/bin/instant"));
    installed.arg("--version");
    assert_eq!(output(installed).await, format!("instant {}\n", env!("CARGO_PKG_VERSION")));
}
