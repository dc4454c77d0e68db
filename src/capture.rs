//! Capture: which tables are watched, and the triggers that write their changes to the outbox.

pub mod watch;

/// The advisory lock under which the relay dozes: triggers notify only while they cannot share it. ASCII "instant" and 1.
pub const DOZE_LOCK: i64 = 0x696e_7374_616e_7401;
