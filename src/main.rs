//! The command `instant`: parse, run, print the chain of causes.

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
            // Nothing can be done about a standard error that is closed.
            let _ = writeln!(anstream::stderr(), "error: {error:#}");
            ExitCode::from(exit::FAILED)
        }
    }
}
