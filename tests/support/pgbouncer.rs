//! A real PgBouncer in transaction mode in front of a test's database.

use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::TempDir;

use crate::support::postgres::{Database, free_port, server_user};
use crate::support::process::{Process, find};
use crate::support::wait::{SOON, eventually};

/// A running pooler, killed when dropped.
pub(crate) struct PgBouncer {
    /// The URL of the database through the pooler.
    pub(crate) url: String,
    _process: Process,
    _folder: TempDir,
}

impl PgBouncer {
    /// Starts a pooler in front of `database`; `None` if PgBouncer is not installed.
    pub(crate) async fn before(database: &Database) -> Option<Self> {
        let program = find("pgbouncer")?;
        let port = free_port();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pgbouncer.ini");
        let name = &database.name;
        let config = format!(
            "[databases]\n{name} = host=127.0.0.1 port={} dbname={name} user=postgres\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = any\npool_mode = transaction\n\
             unix_socket_dir =\nignore_startup_parameters = extra_float_digits\n",
            database.cluster.port
        );
        fs::write(&file, config).unwrap();
        // It refuses to run as root, so another user has to read this.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let file = file.to_str().unwrap();
        let process = match server_user() {
            Some(user) => {
                let user = format!("--reuid={user}");
                let arguments = [&user, "--clear-groups", program.to_str().unwrap(), file];
                Process::new("setpriv", Path::new("/"), &arguments, &[])
            }
            None => Process::new(program, Path::new("/"), &[file], &[]),
        };
        eventually(SOON, "PgBouncer", async || {
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()
        })
        .await;
        Some(Self {
            url: format!("postgres://postgres@127.0.0.1:{port}/{name}"),
            _process: process,
            _folder: folder,
        })
    }
}
