//! Programs that do not outlive the test process, not even when it is killed.

use std::ffi::OsStr;
use std::process::Stdio;

use tokio::process::{Child, Command};

/// Replaces itself with the program, so that the child's id and exit status are the program's. A watcher stays behind and kills the
/// program when the pipe to the test process breaks, unless it has already ended: its id may then belong to another process.
const SCRIPT: &str = r#"
exec 3<&0 </dev/null
(
    trap '' INT TERM HUP
    cat <&3 >/dev/null
    read -r _ _ _ parent _ </proc/self/stat
    [ "$parent" = $$ ] && kill -KILL $$
) >/dev/null 2>&1 &
exec 3<&-
exec "$@"
"#;

/// A command that runs the program tethered to this process, and is killed when the child is dropped.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", SCRIPT, "sh"])
        .arg(program)
        .stdin(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Kills the program and waits for its end.
pub(crate) async fn kill(child: &mut Child) {
    child.kill().await.unwrap();
}
