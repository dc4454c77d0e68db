//! The outbox: windows of changes, the cursor, the locks, dead letters and the purge; all SQL on Instant's own tables, and the
//! lookups in the project's tables.
//!
//! Two sessions share the work of a relay. [`Reader`] reads windows and sleeps on LISTEN; [`Leader`] holds the leader's lock and writes
//! the cursor and the dead letters. On a single connection, a window that stalls because its publications stall would block the cursor.
//! A third session, [`Lookups`], reads rows of the project's tables where rules name their columns. [`Operator`] is the session of an
//! operator's commands.

mod adopt;
mod announcement;
mod ascii;
mod broadcast;
mod dead_letter;
mod handshake;
mod incumbent;
mod leader;
mod letters;
mod libpq;
mod lookup;
mod lost;
mod operator;
mod position;
mod reader;
mod replay;
mod rest;
mod rows;
mod session;
mod sql;
mod status;
mod tls;

pub use adopt::Adopted;
pub use announcement::Announcement;
pub use broadcast::Message;
pub use dead_letter::DeadLetter;
pub use leader::{Leader, Losses, Term};
pub use letters::{LetterFilter, LetterPlace, Refusal, StoredLetter};
pub use lookup::{Answer, LookedUp, Lookups, foreign_statement};
pub use lost::{Counted, Lost};
pub use operator::Operator;
pub use position::{Position, Snapshot};
pub use reader::{Feed, Page, Reader};
pub use replay::{Replay, Span};
pub use rows::ChangeRow;
pub use session::{Error, check_url};
pub use status::{BACKLOG_LIMIT, Backlog, Depth, LeaderSession, OutboxSize, Status};

/// The advisory lock that the leader holds while it leads: ASCII "instant" and 2. The doze lock is the adjacent key.
const LEADER_LOCK: i64 = 0x696e_7374_616e_7402;

/// The channel on which a standby calls the leader.
const STANDBY_CHANNEL: &str = "instant_standby";

/// The channel that triggers notify while the relay dozes.
const CHANNEL: &str = "instant";

/// The prefix of the channels on which they announce changes.
const ANNOUNCEMENTS: &str = "instant_announcements_";
