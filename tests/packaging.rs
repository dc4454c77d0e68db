//! How Instant comes to a machine: shell completions, the manual, the packed crate, the wheel, and containers.

mod shell;
