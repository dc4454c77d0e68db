//! The triggers, and the commands that put them there and take them away, on real tables.

mod announcements;
mod audience;
mod broadcast;
mod controls;
mod drift;
mod fixture;
mod gaps;
mod migrations;
mod names;
mod pages;
mod pause;
mod related;
mod removal;
mod rows;
mod settings;
mod survival;
mod tables;
