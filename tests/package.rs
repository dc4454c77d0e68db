//! The Python package under each Django and each driver, on projects made from the documentation's examples.

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::process::Command;

use crate::support::cache::{self, manifest};
use crate::support::document::{Snippet, snippets};
use crate::support::postgres::{self, Database};
use crate::support::wait::{SOON, within};

/// Each supported Django, with each driver.
const ENVIRONMENTS: [&str; 6] = [
    "package-4.2-psycopg",
    "package-4.2-psycopg2",
    "package-5.2-psycopg",
    "package-5.2-psycopg2",
    "package-6.1-psycopg",
    "package-6.1-psycopg2",
];

const MODELS: &str = "
from django.conf import settings
from django.db import models

class Order(models.Model):
    number = models.CharField(max_length=20)
    status = models.CharField(max_length=20, default='draft')
    note = models.TextField(blank=True)
    customer = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)
";

const SETTINGS: &str = "
import os
from urllib.parse import urlsplit
_url = urlsplit(os.environ['PROJECT_DATABASE'])
DATABASES = {'default': {'ENGINE': 'django.db.backends.postgresql', 'NAME': _url.path[1:], 'USER': _url.username,
    'HOST': _url.hostname, 'PORT': _url.port}}
INSTALLED_APPS += ['shop']
";

/// A project in a folder of its own.
struct Project {
    folder: TempDir,
    database: Database,
    bin: PathBuf,
}

impl Project {
    /// The project of the documentation's page in this environment; `None` if setup could not make that.
    async fn of_the_page(environment: &str) -> Option<Self> {
        let bin = cache::find(&format!("{environment}/bin"))?;
        let project = Self {
            folder: tempfile::tempdir().unwrap(),
            database: postgres::database(18).await,
            bin,
        };
        project
            .succeeds("python", &["-m", "django", "startproject", "site1", "."])
            .await;
        project.succeeds("python", &["manage.py", "startapp", "shop"]).await;
        project.write("shop/models.py", MODELS);
        let settings = std::fs::read_to_string(project.path().join("site1/settings.py")).unwrap();
        project.write("site1/settings.py", &(settings + SETTINGS));
        project.write("pytest.ini", "[pytest]\nDJANGO_SETTINGS_MODULE = site1.settings\n");
        for Snippet { text, .. } in snippets("docs/testing.md") {
            let name = text.lines().next().unwrap().trim_start_matches("# ");
            if name == "settings.py" {
                let settings = std::fs::read_to_string(project.path().join("site1/settings.py")).unwrap();
                project.write("site1/settings.py", &(settings + &text));
            } else {
                project.write(name, &text);
            }
        }
        project.succeeds("python", &["manage.py", "makemigrations"]).await;
        Some(project)
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).unwrap();
    }

    /// Runs a program of the environment; returns whether it succeeded, and its output.
    async fn run(&self, program: &str, arguments: &[&str]) -> (bool, String) {
        let mut command = Command::new(self.bin.join(program));
        command
            .args(arguments)
            .current_dir(self.path())
            .env("PROJECT_DATABASE", &self.database.url)
            .env("PYTHONPATH", manifest("python"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("INSTANT_BINARY", env!("CARGO_BIN_EXE_instant"))
            .env_remove("DATABASE_URL")
            .kill_on_drop(true);
        let output = within(SOON * 12, &format!("the end of {program} {arguments:?}"), command.output())
            .await
            .unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        (output.status.success(), said)
    }

    async fn succeeds(&self, program: &str, arguments: &[&str]) -> String {
        let (good, said) = self.run(program, arguments).await;
        assert!(good, "{program} {arguments:?}: {said}");
        said
    }
}

/// Runs `test` on the page's project under every environment.
async fn under_every_django(test: impl AsyncFn(&Project)) {
    let mut tried = 0;
    for environment in ENVIRONMENTS {
        let Some(project) = Project::of_the_page(environment).await else {
            // Setup has said that there is no Python which the newest Django runs under.
            assert!(environment.starts_with("package-6"), "{environment} is missing");
            continue;
        };
        test(&project).await;
        tried += 1;
    }
    assert!(tried >= 4, "{tried}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tests_of_the_page_and_those_of_the_package_pass_with_djangos_runner_and_its_parallel_clones() {
    under_every_django(async |project| {
        for name in ["test_capture.py", "test_producers.py"] {
            let test = std::fs::read_to_string(manifest("python/tests").join(name)).unwrap();
            project.write(&format!("shop/{name}"), &test);
        }
        let said = project
            .succeeds("python", &["-W", "error", "manage.py", "test", "--parallel", "2"])
            .await;
        assert!(
            said.contains("Ran 24 tests") && said.contains("OK") && !said.contains("skipped") && !said.contains("Warning"),
            "{said}"
        );
        assert_eq!(said.matches("Cloning test database").count(), 2, "{said}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_cannot_install_the_triggers_leaves_no_database_behind() {
    under_every_django(async |project| {
        let test = std::fs::read_to_string(manifest("python/tests/test_producers.py")).unwrap();
        project.write("shop/test_producers.py", &test);
        project.write(
            "instant.toml",
            "[database]\nurl = '${DATABASE_URL}'\n[[watch]]\nmodel = 'shop.Nothing'\n",
        );
        let (good, said) = project.run("python", &["manage.py", "test", "--parallel", "2"]).await;
        assert!(
            !good && said.contains("shop.Nothing") && said.contains("Cloning test database"),
            "{said}"
        );
        let name = &project.database.name;
        let question =
            format!("select count(*) from pg_database where datname in ('test_{name}', 'test_{name}_1', 'test_{name}_2')");
        let client = project.database.connect().await;
        let left: i64 = client.query_one(question.as_str(), &[]).await.unwrap().get(0);
        assert_eq!(left, 0, "{said}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tests_of_the_page_pass_with_pytest() {
    under_every_django(async |project| {
        let said = project
            .succeeds("python", &["-m", "pytest", "-q", "shop/test_with_pytest.py", "shop/tests.py"])
            .await;
        assert!(said.contains("6 passed"), "{said}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_types_of_the_package_fit_under_every_django() {
    under_every_django(async |project| {
        let package = manifest("python");
        let configuration = manifest("pyproject.toml");
        let arguments = [
            "-m",
            "mypy",
            "--config-file",
            configuration.to_str().unwrap(),
            package.join("instant").to_str().unwrap(),
        ]
        .map(str::to_owned);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let said = project.succeeds("python", &arguments).await;
        assert!(said.contains("Success: no issues found"), "{said}");
        // Types that do not fit are seen: this is not a check of nothing.
        project.write("wrong.py", "from instant.producers import broadcast\nbroadcast(17)\n");
        let (good, said) = project.run("python", &["-m", "mypy", "--strict", "wrong.py"]).await;
        assert!(
            !good && said.contains("\"broadcast\" has incompatible type \"int\""),
            "{said}"
        );
    })
    .await;
}
