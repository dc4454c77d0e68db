//! The test harness: real servers, a real Django project, a real subscriber, and faults between them.

pub(crate) mod cache;
pub(crate) mod capture;
pub(crate) mod centrifugo;
pub(crate) mod client;
pub(crate) mod crowd;
pub(crate) mod django;
pub(crate) mod document;
pub(crate) mod gateway;
pub(crate) mod pgbouncer;
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod redis;
pub(crate) mod site;
pub(crate) mod tether;
pub(crate) mod wait;
