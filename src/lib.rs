//! Instant delivers every committed change of watched PostgreSQL rows to the browsers of a Django project.
//!
//! ```text
//!  Django ──INSERT/UPDATE/DELETE──▶ table ──trigger──▶ instant.outbox ──(NOTIFY only while dozing)──▶ relay
//!  relay: outbox window → Change → mapping(rules) → Publication → lane → publisher → settle (cursor | dead letter)
//!  browser ──cookie──▶ Centrifugo or hub ──▶ web ──▶ access: session → user → channels
//! ```
//!
//! The modules follow that path in this order; each imports only from those before it.

pub mod change;

pub mod config;

pub mod django;

pub mod capture;

pub mod outbox;

pub mod mapping;

pub mod publisher;

pub mod relay;

pub mod hub;

pub mod access;

pub mod web;

pub mod cli;
