//! The demo: its apps in a real browser, its code, and the script that runs it.

mod apps;
mod code;
mod script;
mod traffic;
