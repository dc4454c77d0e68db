//! The one test binary, whose tests share the servers that they start.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failing test panics, also in its helpers"
)]

mod access;
mod architecture;
mod capture;
mod chaos;
mod client;
mod demo;
mod documents;
mod failures;
mod fuzz;
mod harness;
mod hub;
mod init;
mod outbox;
mod package;
mod packaging;
mod schema;
mod spine;
mod support;
mod windows;
