//! Capture: which tables are watched, and the triggers that write their changes to the outbox.

pub mod watch;
