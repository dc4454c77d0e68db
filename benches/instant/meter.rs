//! The cost of processes, and the number of a server's publications.

use std::time::Duration;

use crate::support::postgres::Cluster;

/// The kernel's unit of time in `/proc`, on every architecture: a hundredth of a second.
const TICK: Duration = Duration::from_millis(10);

/// The processor time of a process and its ended children.
pub(crate) fn cpu(pid: u32) -> Duration {
    // A session of PostgreSQL may have ended meanwhile: its time is then counted for its parent.
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name, in parentheses, may contain spaces; the user and system times, and both of ended children, are fields 12 to 15 after it.
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u32 = fields.skip(11).take(4).filter_map(|field| field.parse::<u32>().ok()).sum();
    TICK * ticks
}

/// [`cpu`] of a whole PostgreSQL server.
pub(crate) fn cpu_of(cluster: &Cluster) -> Duration {
    let postmaster = postmaster(cluster);
    children(postmaster).into_iter().chain([postmaster]).map(cpu).sum()
}

/// [`cpu_exact`] of a whole PostgreSQL server whose sessions still run.
pub(crate) fn cpu_exact_of(cluster: &Cluster) -> Duration {
    let postmaster = postmaster(cluster);
    children(postmaster).into_iter().chain([postmaster]).map(cpu_exact).sum()
}

fn postmaster(cluster: &Cluster) -> u32 {
    let text = std::fs::read_to_string(cluster.path("data/postmaster.pid")).expect("the server runs");
    text.lines().next().and_then(|line| line.parse().ok()).expect("its pid")
}

fn children(parent: u32) -> Vec<u32> {
    let text = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// The processor time of a process that still runs, to the nanosecond.
pub(crate) fn cpu_exact(pid: u32) -> Duration {
    let nanoseconds = tasks(pid, "schedstat").filter_map(|text| text.split_whitespace().next()?.parse::<u64>().ok());
    Duration::from_nanos(nanoseconds.sum())
}

/// How often the threads of a process have gone to sleep voluntarily, and so were woken.
pub(crate) fn wake_ups(pid: u32) -> u64 {
    let switches = tasks(pid, "status").filter_map(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line?.trim().parse::<u64>().ok()
    });
    switches.sum()
}

/// The contents of a `/proc` file of each thread of a process.
fn tasks(pid: u32, file: &'static str) -> impl Iterator<Item = String> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    threads.filter_map(move |thread| std::fs::read_to_string(thread.path().join(file)).ok())
}

/// The sum of a counter among a server's metrics, over all label sets that contain `label`.
pub(crate) async fn counter(http: &reqwest::Client, url: &str, name: &str, label: &str) -> u64 {
    let reply = http.get(format!("{url}/metrics")).send().await.unwrap();
    let text = reply.error_for_status().unwrap().text().await.unwrap();
    let figures = text.lines().filter_map(|line| {
        let (labels, figure) = line.strip_prefix(name)?.rsplit_once(' ')?;
        let is_it = labels.is_empty() || labels.starts_with('{');
        (is_it && labels.contains(label)).then(|| figure.parse::<f64>().ok())?
    });
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    let sum = figures.sum::<f64>() as u64;
    sum
}
