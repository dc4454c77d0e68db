//! The documentation: every snippet is run, every link has a target, and the lists are complete.

mod centrifugo_redis;
mod cli;
mod coverage;
mod events;
mod explanation;
mod hub;
mod lesson;
mod links;
mod nginx;
mod operations;
mod production;
mod readme;
mod reference;
mod roles;
mod tutorial;
