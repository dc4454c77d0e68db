//! The triggers, and the commands that create and remove them, on real tables.

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
