//! `docs/cli.md`: the help of every command, as this version prints it.

use std::fmt::Write as _;

use clap::{Arg, Command, CommandFactory};
use instant::cli::Cli;

use crate::support::cache::manifest;

const PAGE: &str = "docs/cli.md";

/// The text before the commands.
const HEAD: &str = "\
# Commands

Each command reads `instant.toml`, which is searched for from the current folder upwards, and explains itself with `--help`; `--config`,
`--database-url` and `--help` apply to all of them. This page consists of these texts: `INSTA_UPDATE=always cargo test --test instant -- the_page_of_commands` regenerates it.

Exit codes are the same for every command. A file that is valid, but lacks what a command needs (`[django]` for `token`), or that does not
exist, is a failure:

| code | meaning |
|---|---|
| 0 | done |
| 1 | failed |
| 2 | usage or configuration |
| 3 | drift or unhealthy |

[operations.md](operations.md) describes when to use which on a running system, and [configuration.md](configuration.md) the file.
";

/// The width of the texts, as on a terminal of 100 columns.
const WIDTH: usize = 100;

/// Appends the help of a command, and of those below it.
fn write(page: &mut String, command: &mut Command, path: &str, depth: usize) {
    let help = command.render_long_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    let marks = "#".repeat(depth.max(2));
    // Writing to a String cannot fail.
    let _ = write!(page, "\n{marks} `{path}`\n\n```text\n{}\n```\n", help.join("\n").trim_end());
    for below in command.get_subcommands() {
        let name = below.get_name();
        if name != "help" && !below.is_hide_set() {
            let hidden = |argument: Arg| {
                let is_everywhere = argument.is_global_set() || argument.get_id() == "help";
                argument.hide(is_everywhere)
            };
            write(
                page,
                &mut below.clone().mut_args(hidden),
                &format!("{path} {name}"),
                depth + 1,
            );
        }
    }
}

#[test]
fn the_page_of_commands_holds_the_help_of_every_command() {
    // Variables of this environment have no place in a page.
    let mut root = Cli::command()
        .term_width(WIDTH)
        .mut_args(|argument| argument.hide_env_values(true));
    root.build();
    let mut page = HEAD.to_owned();
    write(&mut page, &mut root, "instant", 1);
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        std::fs::write(manifest(PAGE), &page).unwrap();
    }
    let kept = std::fs::read_to_string(manifest(PAGE)).unwrap_or_default();
    assert!(
        page == kept,
        "{PAGE} is of another version: `INSTA_UPDATE=always cargo test --test instant -- the_page_of_commands` regenerates it"
    );
    assert!(page.matches("```text").count() > 20, "{page}");
}
