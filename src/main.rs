//! The `instant` command: parses its arguments, runs, and prints the error chain.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use instant::cli::{Cli, Reported, exit};

#[tokio::main]
async fn main() -> ExitCode {
    match Cli::parse().run().await {
        Ok(code) => code,
        Err(error) if error.is::<Reported>() => ExitCode::from(exit::USAGE),
        Err(error) => {
            // A failure to write to standard error cannot be reported.
            let _ = writeln!(anstream::stderr(), "error: {error:#}");
            ExitCode::from(exit::FAILED)
        }
    }
}
