//! Capture: the watched tables, and the triggers that write their changes to the outbox.

mod apply;
mod audience;
mod catalog;
mod error;
mod grant;
mod health;
pub mod identifier;
pub mod identity;
mod installed;
mod lock;
mod pause;
mod plan;
mod refusal;
mod remove;
pub mod resolve;
mod schema;
mod script;
mod survey;
pub mod trigger;
pub mod watch;

pub use apply::{Applied, Progress, apply, plan};
pub use audience::audience;
pub use error::Error;
pub use health::{Health, OldSnapshot, Prepared, Setting, health};
pub use installed::{FoundFunction, FoundTrigger, Shape, State};
pub use pause::{pause, paused, resume};
pub use plan::{Plan, Step};
pub use refusal::refusals;
pub use remove::remove;
pub use resolve::{Resolved, resolve};
pub use schema::{SchemaState, state as schema_state};
pub use script::script;
pub use survey::{Surveyed, SurveyedColumn, survey};

/// The advisory lock that a dozing relay holds: triggers notify only while they cannot share it. ASCII "instant" and 1.
pub const DOZE_LOCK: i64 = 0x696e_7374_616e_7401;
