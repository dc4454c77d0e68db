//! A real Redis, which keeps Centrifugo's publications when Centrifugo is killed.

use std::net::{Ipv4Addr, TcpStream};

use tempfile::TempDir;

use crate::support::postgres::free_port;
use crate::support::process::{Process, find};
use crate::support::wait::{SOON, eventually};

/// A running server, killed when dropped.
pub(crate) struct Redis {
    /// The URL that it listens on.
    pub(crate) address: String,
    _process: Process,
    _folder: TempDir,
}

impl Redis {
    /// Starts a server; `None` if Redis is not installed.
    pub(crate) async fn start() -> Option<Self> {
        let program = find("redis-server")?;
        let port = free_port();
        let folder = tempfile::tempdir().unwrap();
        let arguments = [
            "--bind",
            "127.0.0.1",
            "--port",
            &port.to_string(),
            "--save",
            "",
            "--appendonly",
            "no",
        ];
        let process = Process::new(program, folder.path(), &arguments, &[]);
        eventually(SOON, "Redis", async || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()).await;
        Some(Self {
            address: format!("redis://127.0.0.1:{port}"),
            _process: process,
            _folder: folder,
        })
    }
}
