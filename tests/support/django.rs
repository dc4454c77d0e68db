//! The Django project of `tests/project`, migrated, on a database of its own.

use std::process::Stdio;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Mutex;

use crate::support::cache;
use crate::support::postgres::{self, Cluster, Database};
use crate::support::wait::{SOON, within};

/// The database that is migrated once per cluster and cloned for each test.
const TEMPLATE: &str = "django_template";
/// The same for the project with a user model of its own.
const CLUB_TEMPLATE: &str = "django_club";

/// A variant of the project: a Python environment made by `tests/tools/setup`, and settings.
#[derive(Clone, Copy)]
struct Flavour {
    environment: &'static str,
    settings: &'static str,
}

const CURRENT: Flavour = Flavour {
    environment: "python",
    settings: "project.settings",
};
const LTS: Flavour = Flavour {
    environment: "python-lts",
    ..CURRENT
};
const CLUB: Flavour = Flavour {
    settings: "project.club",
    ..CURRENT
};

/// A running Python process with the project loaded.
pub(crate) struct Django {
    /// Its database.
    pub(crate) database: Database,
    session: Session,
}

impl Django {
    /// The project on a fresh database of the shared cluster.
    pub(crate) async fn on(version: u32) -> Self {
        Self::new(&postgres::shared(version, &[]).await).await
    }

    /// The same under the older supported Django: its sessions and log-ins use tables that the current one has migrated.
    pub(crate) async fn lts_on(version: u32) -> Self {
        let Self { database, .. } = Self::on(version).await;
        let session = Session::of(LTS, &database.url);
        let django = Self { database, session };
        let found = django.run("import django; print(django.VERSION[:2])").await;
        assert_eq!(found.trim(), "(4, 2)");
        django
    }

    /// The project with a user model of its own: `club.Member` in the table `people`, with a UUID as its key.
    pub(crate) async fn club_on(version: u32) -> Self {
        let cluster = postgres::shared(version, &[]).await;
        cluster.club.get_or_init(|| migrate(&cluster, CLUB_TEMPLATE, CLUB)).await;
        let database = cluster.clone_of(CLUB_TEMPLATE).await;
        let session = Session::of(CLUB, &database.url);
        Self { database, session }
    }

    /// The project on a fresh database of a cluster.
    pub(crate) async fn new(cluster: &Arc<Cluster>) -> Self {
        cluster.django.get_or_init(|| migrate(cluster, TEMPLATE, CURRENT)).await;
        let database = cluster.clone_of(TEMPLATE).await;
        let session = Session::new(&database.url);
        Self { database, session }
    }

    /// Runs Python with every model of `shop` by name, and returns what it prints. Names are kept for the next call; the code may be
    /// indented as a whole.
    ///
    /// # Panics
    /// With the traceback when it raises an exception.
    pub(crate) async fn run(&self, code: &str) -> String {
        self.session.run(code).await
    }

    /// The same, with the traceback instead of a panic.
    pub(crate) async fn try_run(&self, code: &str) -> Result<String, String> {
        self.session.try_run(code).await
    }

    /// A second process on the same database, for concurrent code.
    pub(crate) fn another(&self) -> Session {
        Session::new(&self.database.url)
    }
}

/// A Python process that runs pieces of code one after the other.
pub(crate) struct Session {
    pipes: Mutex<(ChildStdin, Lines<BufReader<ChildStdout>>)>,
    _child: Child,
}

/// An answer of `run.py --serve`.
#[derive(Deserialize)]
struct Answer {
    output: String,
    error: Option<String>,
}

impl Session {
    /// The project on this database, which must be migrated.
    pub(crate) fn new(url: &str) -> Self {
        Self::of(CURRENT, url)
    }

    fn of(flavour: Flavour, url: &str) -> Self {
        // It ends when its input does, also when this process is killed.
        let mut child = python(flavour, url)
            .args(["run.py", "--serve"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        Self {
            pipes: Mutex::new((input, output)),
            _child: child,
        }
    }

    /// See [`Django::run`].
    pub(crate) async fn run(&self, code: &str) -> String {
        self.try_run(code).await.unwrap_or_else(|error| panic!("Django: {error}"))
    }

    /// See [`Django::try_run`].
    pub(crate) async fn try_run(&self, code: &str) -> Result<String, String> {
        let mut pipes = self.pipes.lock().await;
        let (input, output) = &mut *pipes;
        input
            .write_all(format!("{}\n", json!({ "code": code })).as_bytes())
            .await
            .unwrap();
        let line = within(SOON * 6, "an answer of the Django process", output.next_line())
            .await
            .unwrap();
        let answer: Answer = serde_json::from_str(&line.expect("the Django process has ended")).unwrap();
        answer.error.map_or(Ok(answer.output), Err)
    }
}

async fn migrate(cluster: &Arc<Cluster>, template: &str, flavour: Flavour) {
    let template = cluster.create(template, "template1").await;
    let output = python(flavour, &template.url)
        .args(["manage.py", "migrate", "--verbosity", "0"])
        .output()
        .await
        .unwrap();
    assert!(
        output.status.success(),
        "migrate failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn python(flavour: Flavour, url: &str) -> Command {
    let mut command = Command::new(cache::path(&format!("{}/bin/python", flavour.environment)));
    command
        .current_dir(cache::manifest("tests/project"))
        .env("DJANGO_SETTINGS_MODULE", flavour.settings)
        .env("DATABASE_URL", url)
        .env("PYTHONPATH", cache::manifest("python"))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    command
}
