//! The machine of the measurements.

use std::process::Command;

use crate::report::Table;
use crate::support::cache;

/// The machine, the versions and the day.
pub(crate) fn table() -> Table {
    let mut table = Table::new(["", ""]);
    table.row(["processor", &processor()]);
    table.row(["memory", &memory()]);
    table.row(["kernel", &said("uname", &["-sr"])]);
    table.row(["database disk", &disk()]);
    table.row(["PostgreSQL", &postgres()]);
    table.row(["Centrifugo", &centrifugo()]);
    table.row(["Instant", env!("CARGO_PKG_VERSION")]);
    table.row(["Rust", &said("rustc", &["--version"])]);
    table.row(["measured", &said("date", &["-u", "+%Y-%m-%d"])]);
    table
}

fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{}, {cores} cores", name.trim_start_matches(['\t', ' ', ':']))
}

fn memory() -> String {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .unwrap_or_default();
    let kilobytes: u64 = total.trim().trim_end_matches(" kB").parse().unwrap_or(0);
    format!("{} GB", (kilobytes + 500_000) / 1_000_000)
}

/// The device and the file system of the folder in which clusters are created.
fn disk() -> String {
    let found = said("df", &["--output=source,fstype", "/tmp"]);
    let found = found.lines().last().unwrap_or_default();
    found.split_whitespace().collect::<Vec<_>>().join(", ")
}

/// The version that is built, from `go.mod`.
fn centrifugo() -> String {
    let text = std::fs::read_to_string(cache::manifest("tests/tools/centrifugo/go.mod")).unwrap_or_default();
    let version = text.lines().find_map(|line| line.split_once("centrifugal/centrifugo/v6 v"));
    let version = version.and_then(|(_, version)| version.split_whitespace().next());
    version.unwrap_or_default().to_owned()
}

fn postgres() -> String {
    let program = cache::path("postgres-18/bin/postgres");
    let version = said(&program.display().to_string(), &["--version"]);
    version.trim_start_matches("postgres (PostgreSQL) ").to_owned()
}

/// A program's output, or nothing if it cannot be run.
fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or_else(
        |_| String::new(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}
