//! The built binary, as an operator runs it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::support::tether;
use crate::support::wait::{SOON, eventually, within};

/// The binary under test.
const BINARY: &str = env!("CARGO_BIN_EXE_instant");

/// How long the last output of an ended process may take to arrive.
const LAST_OUTPUT: Duration = Duration::from_secs(1);

/// Finds a program on the search path or where Debian installs servers; `None` if this machine does not have it.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.find_map(|folder| Some(folder.join(program)).filter(|program| program.exists()))
}

/// Runs `instant` to its end.
pub(crate) async fn instant(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = tether::command(BINARY);
    command.args(arguments).current_dir(folder).envs(environment.iter().copied());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // `wait_with_output` closes the pipe that the tether watches, so the program must end by itself or at the deadline.
    within(SOON * 3, &format!("the end of instant {arguments:?}"), collect(child)).await
}

/// Waits for a child's end without closing its standard input.
async fn collect(mut child: Child) -> Output {
    let input = child.stdin.take();
    let output = child.wait_with_output().await.unwrap();
    drop(input);
    output
}

/// A program that runs in the background, killed when dropped.
pub(crate) struct Process {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    /// The tasks that read its two streams.
    readers: [JoinHandle<()>; 2],
}

impl Process {
    /// Starts `instant`.
    pub(crate) fn instant(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::new(BINARY, folder, arguments, environment)
    }

    /// Starts a program.
    pub(crate) fn new(program: impl AsRef<OsStr>, folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command: Command = tether::command(program);
        command.args(arguments).current_dir(folder).envs(environment.iter().copied());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = Arc::default();
        let readers = [
            collect_lines(child.stdout.take().unwrap(), &lines),
            collect_lines(child.stderr.take().unwrap(), &lines),
        ];
        Self { child, lines, readers }
    }

    /// All output so far, of both streams.
    pub(crate) fn output(&self) -> String {
        self.lines.lock().join("\n")
    }

    /// The number of lines with this text so far.
    pub(crate) fn count(&self, text: &str) -> usize {
        self.lines.lock().iter().filter(|line| line.contains(text)).count()
    }

    /// Waits for a line with this text, and returns the first.
    pub(crate) async fn line(&self, text: &str, deadline: Duration) -> String {
        self.another_line(text, 0, deadline).await
    }

    /// Waits for another line with this text after `before` of them, and returns it.
    pub(crate) async fn another_line(&self, text: &str, before: usize, deadline: Duration) -> String {
        let found = || {
            let lines = self.lines.lock();
            lines.iter().filter(|line| line.contains(text)).nth(before).cloned()
        };
        let end = Instant::now() + deadline;
        eventually(deadline * 2, text, async || {
            let line = found();
            assert!(
                line.is_some() || Instant::now() < end,
                "not within {deadline:?}: `{text}`, {before} times before, in\n{}",
                self.output()
            );
            line
        })
        .await
    }

    /// Sends a signal by name: TERM, INT, HUP, KILL, STOP, CONT.
    pub(crate) async fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args(["-s", name, &self.id().to_string()])
            .status()
            .await
            .unwrap();
        assert!(status.success(), "no process to signal: {}", self.output());
    }

    /// Waits for its end, and for its last output.
    pub(crate) async fn wait(&mut self, deadline: Duration) -> ExitStatus {
        // `Child::wait` would close the pipe that the tether watches.
        let child = &mut self.child;
        let status = eventually(deadline, "the end of a process", async || child.try_wait().unwrap()).await;
        // A process that it started may hold the streams open for longer.
        let end = Instant::now() + LAST_OUTPUT;
        while !self.readers.iter().all(JoinHandle::is_finished) && Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        status
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// The peak of its resident memory, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        self.try_peak_memory().expect("it runs, and Linux says it")
    }

    /// The same; `None` once it has ended.
    pub(crate) fn try_peak_memory(&self) -> Option<u64> {
        memory(self.child.id()?, "VmHWM:")
    }

    /// Its resident memory, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        memory(self.id(), "VmRSS:").expect("it runs, and Linux says it")
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().expect("it runs")
    }
}

/// Appends the lines of a stream.
fn collect_lines(stream: impl AsyncRead + Unpin + Send + 'static, lines: &Arc<Mutex<Vec<String>>>) -> JoinHandle<()> {
    let lines = Arc::clone(lines);
    tokio::spawn(async move {
        let mut stream = BufReader::new(stream).lines();
        while let Ok(Some(line)) = stream.next_line().await {
            lines.lock().push(line);
        }
    })
}

/// Returns a figure of a process's memory, in bytes; `None` if the process has ended.
pub(crate) fn memory(pid: u32, figure: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let found = status.lines().find_map(|line| line.strip_prefix(figure))?;
    Some(found.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024)
}
