//! What processes cost, and what a server has published.

use std::time::Duration;

use crate::support::postgres::Cluster;

/// The kernel's unit of time in `/proc`, on every architecture: a hundredth of a second.
const TICK: Duration = Duration::from_millis(10);

/// The time on a processor that a process and its ended children have had.
pub(crate) fn cpu(pid: u32) -> Duration {
    // A session of PostgreSQL may have ended meanwhile: its parent has its time then.
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name, in brackets, may hold blanks; the times of user, system, and both of ended children are the 12th to the 15th behind it.
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u32 = fields.skip(11).take(4).filter_map(|field| field.parse::<u32>().ok()).sum();
    TICK * ticks
}

/// The same for a whole PostgreSQL server.
pub(crate) fn cpu_of(cluster: &Cluster) -> Duration {
    let postmaster = postmaster(cluster);
    children(postmaster).into_iter().chain([postmaster]).map(cpu).sum()
}

/// The same for a whole PostgreSQL server whose sessions are still there, to the nanosecond.
pub(crate) fn cpu_exact_of(cluster: &Cluster) -> Duration {
    let postmaster = postmaster(cluster);
    children(postmaster).into_iter().chain([postmaster]).map(cpu_exact).sum()
}

fn postmaster(cluster: &Cluster) -> u32 {
    let text = std::fs::read_to_string(cluster.path("data/postmaster.pid")).expect("the server runs");
    text.lines().next().and_then(|line| line.parse().ok()).expect("its number")
}

fn children(parent: u32) -> Vec<u32> {
    let text = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// The same for a process that is still there, to the nanosecond.
pub(crate) fn cpu_exact(pid: u32) -> Duration {
    let nanoseconds = tasks(pid, "schedstat").filter_map(|text| text.split_whitespace().next()?.parse::<u64>().ok());
    Duration::from_nanos(nanoseconds.sum())
}

/// How often the threads of a process have gone to sleep by themselves, and so were woken.
pub(crate) fn wake_ups(pid: u32) -> u64 {
    let switches = tasks(pid, "status").filter_map(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line?.trim().parse::<u64>().ok()
    });
    switches.sum()
}

/// A file of each thread of a process.
fn tasks(pid: u32, file: &'static str) -> impl Iterator<Item = String> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    threads.filter_map(move |thread| std::fs::read_to_string(thread.path().join(file)).ok())
}

/// The sum of a counter among a server's metrics, over all values of its labels that hold `label`.
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
