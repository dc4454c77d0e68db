//! Capture: which tables are watched, and the triggers that write their changes to the outbox.

mod apply;
mod catalog;
mod plan;
pub mod resolve;
mod schema;
pub mod trigger;
pub mod watch;

pub use apply::{Error, apply, plan, remove, script};
pub use plan::{FoundFunction, FoundTrigger, Plan, State, Step};
pub use resolve::{Resolved, resolve};
pub use schema::{SchemaState, state as schema_state};

/// The advisory lock under which the relay dozes: triggers notify only while they cannot share it. ASCII "instant" and 1.
pub const DOZE_LOCK: i64 = 0x696e_7374_616e_7401;
