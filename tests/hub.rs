//! The hub: what browsers receive through it, that it answers as Centrifugo does, and its limits.

mod comparison;
mod crowd;
mod dev;
mod emulation;
mod endings;
mod events;
mod letters;
mod live;
mod official;
mod reload;
mod sockets;
mod standby;
mod tokens;
mod wire;
