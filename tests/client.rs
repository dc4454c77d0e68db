//! The client: its bundle matches its source, Instant serves it, and a real browser receives events.

mod assets;
mod bundle;
mod document;
mod live;
pub(crate) mod page;
mod plain;
mod rows;
mod visitors;
