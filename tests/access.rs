//! Access: the real Django signs and logs in, the real Centrifugo asks, and each browser receives what it may.

mod attacks;
mod burst;
mod doctor;
mod explain;
mod lookup;
mod official;
mod revocation;
mod rooms;
mod signing;
mod targets;
mod tokens;
mod whoami;
