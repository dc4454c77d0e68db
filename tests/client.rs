//! The client: its bundle is what its source gives, Instant serves it, and a real browser hears what happens.

mod assets;
mod bundle;
mod document;
mod live;
pub(crate) mod page;
mod plain;
mod rows;
mod visitors;
