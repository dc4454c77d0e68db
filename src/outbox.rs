//! The outbox: windows of changes, the cursor, the locks, dead letters and the purge; all SQL on Instant's own tables.
//!
//! Two sessions share the work. [`Reader`] reads windows and sleeps on LISTEN; [`Leader`] holds the leader's lock and writes
//! whatever is settled. A window that stalls because its publications stall would block a cursor written on the same connection.

mod handshake;
mod leader;
mod position;
mod reader;
mod rest;
mod session;
mod sql;
mod tls;

pub use leader::{DeadLetter, Leader};
pub use position::{Position, Snapshot};
pub use reader::{ChangeRow, Page, Reader};
pub use session::Error;

/// The advisory lock that the leader holds for as long as it lives. ASCII "instant" and 2; the doze lock is its neighbour.
const LEADER_LOCK: i64 = 0x696e_7374_616e_7402;

/// The channel that triggers notify while the relay dozes.
const CHANNEL: &str = "instant";
