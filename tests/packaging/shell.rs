//! Shell completions, and the manual.

use std::path::Path;
use std::process::Output;

use insta::assert_snapshot;
use tokio::process::Command;

use crate::support::process::instant;
use crate::support::wait::{SOON, within};

/// Calls the function that bash would call for the words after the script, the last of which is incomplete, and prints the completions.
const COMPLETE: &str = r#"
source "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
function=$(complete -p instant | sed 's/.*-F \([^ ]*\).*/\1/')
"$function" instant "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\n' "${COMPREPLY[@]}"
"#;

async fn printed(folder: &Path, arguments: &[&str]) -> String {
    let output = instant(folder, arguments, &[]).await;
    said(arguments, output)
}

fn said(what: &[&str], output: Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && error.is_empty(), "{what:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

async fn offered(script: &Path, words: &[&str]) -> Vec<String> {
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", COMPLETE, "bash"]).arg(script).args(words);
    let output = within(SOON, "bash", bash.output()).await.unwrap();
    said(words, output).lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn bash_completes_commands_and_flags() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("instant");
    std::fs::write(&script, printed(folder.path(), &["gen", "completions", "bash"]).await).unwrap();
    assert_eq!(offered(&script, &["instant", "rep"]).await, ["replay"]);
    assert_eq!(
        offered(&script, &["instant", "gen", "c"]).await,
        ["centrifugo", "completions"]
    );
    assert_eq!(offered(&script, &["instant", "gen", "completions", "fi"]).await, ["fish"]);
    assert_eq!(offered(&script, &["instant", "replay", "--un"]).await, ["--until"]);
    assert_eq!(offered(&script, &["instant", "nothing-"]).await, [""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_shell_is_told_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let overview = printed(folder.path(), &["--help"]).await;
    let commands = overview.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let commands: Vec<&str> = commands
        .lines()
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.len() > 20, "{commands:?}");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = printed(folder.path(), &["gen", "completions", shell]).await;
        for command in &commands {
            assert!(script.contains(command), "{shell}: no {command}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stderr, reason = "what was not looked at is named")]
async fn the_manual_has_a_page_for_each_command_that_groff_has_nothing_against() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("share/man/man1");
    let arguments = ["gen", "man", "--output", pages.to_str().unwrap()];
    assert_eq!(printed(folder.path(), &arguments).await, "");
    let page = printed(folder.path(), &["gen", "man"]).await;
    assert_eq!(page, std::fs::read_to_string(pages.join("instant.1")).unwrap());

    let mut names = Vec::new();
    for entry in std::fs::read_dir(&pages).unwrap() {
        let path = entry.unwrap().path();
        names.push(path.file_name().unwrap().to_str().unwrap().to_owned());
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(".SH SYNOPSIS"), "{text}");
        let mut groff = Command::new("groff");
        groff.args(["-man", "-ww", "-z", "-Tutf8"]).arg(&path);
        match within(SOON, "groff", groff.output()).await {
            Ok(output) => drop(said(&["groff", path.to_str().unwrap()], output)),
            Err(error) => eprintln!(
                "{} was not read: groff: {error}; `make setup` installs it for root",
                path.display()
            ),
        }
    }
    for name in ["instant.1", "instant-run.1", "instant-dead-retry.1", "instant-gen-man.1"] {
        assert!(names.iter().any(|found| found == name), "no {name} in {names:?}");
    }
    let page = std::fs::read_to_string(pages.join("instant-dead-retry.1")).unwrap();
    assert_snapshot!("man retry", page.replace(env!("CARGO_PKG_VERSION"), "VERSION"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_shell_gets_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    for what in ["completions", "man"] {
        let help = printed(folder.path(), &["gen", what, "--help"]).await;
        assert!(help.contains("Examples"), "{help}");
        assert_snapshot!(format!("help gen {what}"), help);
    }
}
