//! PostgreSQL clusters of several versions, and a database of its own for each test.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};

use parking_lot::Mutex;
use tokio_postgres::{Client, NoTls};

use crate::support::cache;

/// The script that initialises a cluster, controls it, and removes it.
const SUPERVISOR: &str = include_str!("cluster.sh");

/// The settings of every cluster. Commits stay synchronous: acknowledged ones survive `crash`, since the kernel keeps what was written.
const SETTINGS: [&str; 9] = [
    "listen_addresses='127.0.0.1'",
    "max_connections=200",
    "max_wal_senders=0",
    "wal_level=minimal",
    "shared_buffers=64MB",
    "fsync=off",
    "full_page_writes=off",
    "timezone='UTC'",
    "max_prepared_transactions=0",
];

/// Ports that are tried: another process may take a free one before PostgreSQL listens on it.
const PORTS_TRIED: usize = 5;

/// The clusters that tests share.
static SHARED: Mutex<BTreeMap<Flavour, Starting>> = Mutex::new(BTreeMap::new());

/// A version and settings.
type Flavour = (u32, Vec<String>);

/// A cluster that is started by the first test to ask; the others wait.
type Starting = Arc<OnceLock<Arc<Cluster>>>;

/// Returns the versions to test on: `POSTGRES_VERSIONS`, or 15 and 18.
pub(crate) fn versions() -> Vec<u32> {
    let list = std::env::var("POSTGRES_VERSIONS").unwrap_or_else(|_| "15 18".to_owned());
    list.split_whitespace().map(|version| version.parse().unwrap()).collect()
}

/// Creates an empty database on the shared cluster of a version.
pub(crate) async fn database(version: u32) -> Database {
    database_with(version, &[]).await
}

/// Creates an empty database on the shared cluster of a version with these settings, such as `max_prepared_transactions=10`.
pub(crate) async fn database_with(version: u32, settings: &[&str]) -> Database {
    shared(version, settings).await.database().await
}

/// Returns the cluster that all tests of this version and settings share, started by the first. Tests that stop a cluster start their own.
pub(crate) async fn shared(version: u32, settings: &[&str]) -> Arc<Cluster> {
    let settings: Vec<String> = settings.iter().map(|&setting| setting.to_owned()).collect();
    let cell = Arc::clone(SHARED.lock().entry((version, settings.clone())).or_default());
    let start = move || Arc::clone(cell.get_or_init(|| Arc::new(Cluster::launch(version, &settings))));
    tokio::task::spawn_blocking(start).await.unwrap()
}

/// A database. It lives as long as its cluster.
pub(crate) struct Database {
    /// The URL for tokio-postgres, sqlx, Django and `instant.toml`, as a superuser over TCP.
    pub(crate) url: String,
    /// The same for the database `postgres` of the cluster.
    pub(crate) admin_url: String,
    /// Its name.
    pub(crate) name: String,
    /// Its cluster.
    pub(crate) cluster: Arc<Cluster>,
}

impl Database {
    /// Opens a connection.
    pub(crate) async fn connect(&self) -> Client {
        connect(&self.url).await
    }

    /// The URL for another role, which needs no password.
    pub(crate) fn url_as(&self, role: &str) -> String {
        self.url.replacen("postgres@", &format!("{role}@"), 1)
    }
}

/// A PostgreSQL server with its data, removed when the last handle is dropped or the test process ends.
pub(crate) struct Cluster {
    /// Its major version.
    pub(crate) version: u32,
    /// Its port on 127.0.0.1.
    pub(crate) port: u16,
    /// Set once its database with the migrated Django project exists, to be cloned.
    pub(crate) django: tokio::sync::OnceCell<()>,
    /// The same for the project with a user model of its own.
    pub(crate) club: tokio::sync::OnceCell<()>,
    folder: PathBuf,
    supervisor: Arc<Mutex<Supervisor>>,
    databases: AtomicU32,
}

impl Cluster {
    /// Starts a cluster for one test only.
    pub(crate) async fn start_new(version: u32, settings: &[&str]) -> Arc<Self> {
        let settings: Vec<String> = settings.iter().map(|&setting| setting.to_owned()).collect();
        tokio::task::spawn_blocking(move || Arc::new(Self::launch(version, &settings)))
            .await
            .unwrap()
    }

    /// Creates an empty database.
    pub(crate) async fn database(self: &Arc<Self>) -> Database {
        self.clone_of("template1").await
    }

    /// Clones a database that has no connections.
    pub(crate) async fn clone_of(self: &Arc<Self>, template: &str) -> Database {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.create(&name, template).await
    }

    /// Creates a database of this name.
    pub(crate) async fn create(self: &Arc<Self>, name: &str, template: &str) -> Database {
        let admin_url = self.url("postgres");
        let statement = format!("create database {name} template {template}");
        connect(&admin_url).await.batch_execute(&statement).await.unwrap();
        Database {
            url: self.url(name),
            admin_url,
            name: name.to_owned(),
            cluster: Arc::clone(self),
        }
    }

    /// Starts a standby that replicates this cluster, which must have `max_wal_senders`; `None` if PostgreSQL's programs lack
    /// `pg_basebackup`.
    pub(crate) async fn standby(self: &Arc<Self>) -> Option<Arc<Self>> {
        let (version, port) = (self.version, self.port);
        cache::path(&format!("postgres-{version}/bin"))
            .join("pg_basebackup")
            .exists()
            .then_some(())?;
        tokio::task::spawn_blocking(move || Arc::new(Self::launch_from(version, Some(port), &[])))
            .await
            .ok()
    }

    /// Promotes a standby to primary.
    pub(crate) async fn promote(&self) {
        self.order("promote").await;
    }

    /// Stops the server as an operator would; open connections are closed.
    pub(crate) async fn stop(&self) {
        self.order("stop").await;
    }

    /// Stops the server as a power failure would: it recovers from its log at the next start.
    pub(crate) async fn crash(&self) {
        self.order("crash").await;
    }

    /// Starts the server again, on the same port.
    pub(crate) async fn start(&self) {
        self.order(&format!("start {}", self.port)).await;
    }

    /// The server's log.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_else(|error| format!("no log: {error}"))
    }

    /// A path in its folder, which holds `log` and `data`.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    async fn order(&self, command: &str) {
        let supervisor = Arc::clone(&self.supervisor);
        let line = command.to_owned();
        let done = tokio::task::spawn_blocking(move || supervisor.lock().order(&line))
            .await
            .unwrap();
        assert!(done, "PostgreSQL {} did not {command}:\n{}", self.version, self.log());
    }

    /// The URL of a database.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    fn launch(version: u32, settings: &[String]) -> Self {
        Self::launch_from(version, None, settings)
    }

    fn launch_from(version: u32, primary: Option<u16>, settings: &[String]) -> Self {
        let mut supervisor = Supervisor::new(version, primary, settings);
        let folder = PathBuf::from(supervisor.answer());
        let port = (0..PORTS_TRIED)
            .map(|_| free_port())
            .find(|port| supervisor.order(&format!("start {port}")))
            .unwrap_or_else(|| panic!("PostgreSQL {version} does not start; its log is in {}", folder.display()));
        Self {
            version,
            port,
            django: tokio::sync::OnceCell::new(),
            club: tokio::sync::OnceCell::new(),
            folder,
            supervisor: Arc::new(Mutex::new(supervisor)),
            databases: AtomicU32::new(0),
        }
    }
}

/// The shell that runs a cluster. It stops and removes the cluster when `commands` is closed.
struct Supervisor {
    child: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Supervisor {
    fn new(version: u32, primary: Option<u16>, settings: &[String]) -> Self {
        let programs = cache::path(&format!("postgres-{version}/bin"));
        let mut child = as_server_user("sh")
            .args(["-c", SUPERVISOR, "sh"])
            .arg(programs)
            .env("PRIMARY", primary.map(|port| port.to_string()).unwrap_or_default())
            // A standby's settings come with its copy.
            .args(SETTINGS.iter().filter(|_| primary.is_none()))
            .args(settings)
            // The server's user may not be allowed to enter this process's folder.
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let commands = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self {
            child,
            commands,
            answers,
        }
    }

    fn order(&mut self, command: &str) -> bool {
        writeln!(self.commands.as_mut().unwrap(), "{command}").unwrap();
        self.answer() == "done"
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "PostgreSQL's supervisor has ended");
        line.trim_end().to_owned()
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        drop(self.commands.take());
        // Removed before the test continues, so that tests' own clusters do not pile up.
        let _ = self.child.wait();
    }
}

/// Opens a connection, driven in the background.
pub(crate) async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Returns a port of 127.0.0.1 that was free a moment ago, and that this process hands out once. It is below the ephemeral ports, one of
/// which could be taken before a server listens.
pub(crate) fn free_port() -> u16 {
    const PORTS: u32 = 20_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let begin = std::process::id().wrapping_mul(97);
    loop {
        let place = begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % PORTS;
        let port = u16::try_from(10_000 + place).unwrap();
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// Returns a command that runs as another user if this one is root: PostgreSQL refuses to run as root.
fn as_server_user(program: &str) -> Command {
    match server_user() {
        None => Command::new(program),
        Some(user) => {
            let mut command = Command::new("setpriv");
            command.arg(format!("--reuid={user}")).args(["--clear-groups", program]);
            command
        }
    }
}

/// Returns the user that servers run as; `None` if this one is not root.
pub(crate) fn server_user() -> Option<&'static str> {
    static USER: LazyLock<Option<&str>> = LazyLock::new(|| {
        let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
        let exists = |user| {
            Command::new("id")
                .arg(user)
                .output()
                .is_ok_and(|output| output.status.success())
        };
        is_root.then(|| if exists("postgres") { "postgres" } else { "nobody" })
    });
    *USER
}
