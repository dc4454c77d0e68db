//! A Django project in a folder of its own, for the commands.

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::process::Command;

use crate::support::cache;
use crate::support::postgres::{self, Database, free_port};
use crate::support::process::{Process, instant};
use crate::support::wait::SOON;

/// Settings that every project here gets.
const SETTINGS: &str = "
import os
from urllib.parse import urlsplit
_url = urlsplit(os.environ['DATABASE_URL'])
DATABASES = {'default': {'ENGINE': 'django.db.backends.postgresql', 'NAME': _url.path[1:], 'USER': _url.username,
    'HOST': _url.hostname, 'PORT': _url.port}}
print('noise on standard output')
";

/// A project in a folder of its own, on a database of its own.
pub(super) struct Project {
    pub(super) folder: TempDir,
    pub(super) database: Database,
    pub(super) python: PathBuf,
}

impl Project {
    /// Runs `startproject` in this environment, with these apps (name and `models.py`) and further settings.
    pub(super) async fn start(environment: &str, apps: &[(&str, &str)], settings: &str) -> Self {
        let project = Self {
            folder: tempfile::tempdir().unwrap(),
            database: postgres::database(18).await,
            python: cache::path(&format!("{environment}/bin/python")),
        };
        project.python(&["-m", "django", "startproject", "site1", "."]).await;
        for (name, models) in apps {
            project.python(&["manage.py", "startapp", name]).await;
            std::fs::write(project.path().join(name).join("models.py"), models).unwrap();
        }
        let file = project.path().join("site1/settings.py");
        let names: Vec<String> = apps.iter().map(|(name, _)| format!("'{name}'")).collect();
        let text = std::fs::read_to_string(&file).unwrap()
            + SETTINGS
            + &format!("INSTALLED_APPS += [{}]\n", names.join(", "))
            + settings;
        std::fs::write(&file, text).unwrap();
        project
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(super) async fn migrate(&self) {
        self.python(&["manage.py", "makemigrations"]).await;
        self.python(&["manage.py", "migrate"]).await;
    }

    pub(super) async fn python(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(&self.python);
        command
            .args(arguments)
            .current_dir(self.path())
            .env("DATABASE_URL", &self.database.url);
        let output = command.output().await.unwrap();
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    pub(super) fn environment(&self) -> [(&str, &str); 2] {
        [("DATABASE_URL", &self.database.url), ("DJANGO_SECRET_KEY", "a key")]
    }

    /// Runs a command, which must succeed; returns its output.
    pub(super) async fn instant(&self, arguments: &[&str]) -> String {
        let output = instant(self.path(), arguments, &self.environment()).await;
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {said}\n{}", self.file());
        said
    }

    pub(super) async fn init(&self) -> String {
        self.instant(&["init", "--python", self.python.to_str().unwrap()]).await
    }

    pub(super) fn file(&self) -> String {
        std::fs::read_to_string(self.path().join("instant.toml")).unwrap_or_default()
    }

    /// Uncomments everything that is proposed, and follows all steps to the end.
    pub(super) async fn take_all_and_run(&self) {
        let said = self.instant(&["check", "--db"]).await;
        assert!(said.contains("no errors"), "{said}");
        let taken: Vec<String> = self.file().lines().map(uncommented).collect();
        let centrifugo = "\n[centrifugo]\nurl = 'http://127.0.0.1:1'\napi_key = 'none'\n";
        // Other tests run at the same time.
        let address = format!("127.0.0.1:{}", free_port());
        let taken = taken.join("\n").replace("127.0.0.1:8001", &address);
        assert!(taken.contains(&address), "{taken}");
        std::fs::write(self.path().join("instant.toml"), taken + centrifugo).unwrap();
        let said = self.instant(&["check", "--db"]).await;
        assert!(said.contains("no errors") && !said.contains("error["), "{said}");
        let plan = instant(self.path(), &["plan"], &self.environment()).await;
        assert_eq!(plan.status.code(), Some(3), "a plan has something to do");
        self.instant(&["apply"]).await;
        let relay = Process::instant(self.path(), &["run"], &self.environment());
        relay.line("leading", SOON).await;
        assert!(!relay.output().contains("not as instant.toml wants it"), "{}", relay.output());
    }
}

/// A line of a proposal without its `#`.
fn uncommented(line: &str) -> String {
    let rest = line.strip_prefix("# ").unwrap_or(line);
    let proposed = [
        "[[watch",
        "model = ",
        "table = ",
        "fields = ",
        "  [[watch.rule",
        "  target = ",
    ];
    if proposed.iter().any(|start| rest.starts_with(start)) {
        rest.to_owned()
    } else {
        line.to_owned()
    }
}
