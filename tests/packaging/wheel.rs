//! The wheel, in a fresh virtual environment.

use std::fs;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::{BUILT, target};
use crate::support::cache::{self, manifest};
use crate::support::wait::{SOON, within};

/// Uses the package with Django, and prints the command that its tests would run.
const USE: &str = "
import importlib.metadata, sys
from django.conf import settings
settings.configure()
import instant.producers, instant.testing
from instant.testing.binary import command
print(importlib.metadata.version('django-instant'), *command())
";

/// Runs a program to its end, and returns its output.
async fn run(program: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(manifest("")).kill_on_drop(true);
    // An interpreter of the environment finds the environment's own command, whether it was activated or not.
    command.env("PATH", "/usr/bin:/bin").env_remove("INSTANT_BINARY");
    let what = format!("the end of {} {arguments:?}", program.display());
    let output = within(SOON * 12, &what, command.output()).await.unwrap();
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Builds the wheel as `make wheel` does, but without optimisation.
async fn build(folder: &Path) -> PathBuf {
    let mut command = super::bare(cache::path("wheel/bin/maturin"));
    command
        .args(["build", "--locked", "--profile", "dev"])
        .arg("--target-dir")
        .arg(target())
        .arg("--out")
        .arg(folder)
        .current_dir(manifest(""));
    let output = within(BUILT, "the wheel", command.output()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut made = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    made.find(|path| path.extension().is_some_and(|ending| ending == "whl"))
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wheel_brings_the_command_and_the_package_into_a_fresh_environment() {
    let folder = tempfile::tempdir().unwrap();
    let wheel = build(folder.path()).await;
    let environment = folder.path().join("environment");
    let base = cache::path("python/bin/python");
    run(&base, &["-m", "venv", environment.to_str().unwrap()]).await;
    let [python, pip, instant] = ["python", "pip", "instant"].map(|name| environment.join("bin").join(name));
    run(
        &pip,
        &["install", "--quiet", "--no-index", "--no-deps", wheel.to_str().unwrap()],
    )
    .await;
    // Django, as it is installed for the tests.
    let where_packages_are = ["-c", "import sysconfig; print(sysconfig.get_path('purelib'), end='')"];
    let packages = PathBuf::from(run(&python, &where_packages_are).await);
    fs::write(packages.join("django.pth"), run(&base, &where_packages_are).await).unwrap();

    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(run(&instant, &["--version"]).await, format!("instant {version}\n"));
    assert!(
        run(&instant, &["gen", "completions", "bash"])
            .await
            .contains("complete -F _instant")
    );
    assert_eq!(run(&python, &["-c", USE]).await, format!("{version} {}\n", instant.display()));
    for file in ["__init__.py", "producers.py", "py.typed", "testing/__init__.py"] {
        assert!(packages.join("instant").join(file).exists(), "no {file}");
    }
    // Nothing of the sources but the package.
    let listed = run(&python, &["-m", "zipfile", "-l", wheel.to_str().unwrap()]).await;
    for line in listed.lines().skip(1) {
        let name = line.split(' ').next().unwrap();
        let is_expected = name.starts_with("instant/") || name.starts_with("django_instant-");
        assert!(is_expected && !name.contains("__pycache__"), "{listed}");
    }
}
