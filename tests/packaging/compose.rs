//! `docker-compose.yml`, as `docker compose` reads it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use tokio::process::Command;

use crate::support::cache::{self, manifest};
use crate::support::wait::{SOON, within};

/// What this test reads of the whole.
#[derive(Deserialize)]
pub(super) struct Compose {
    pub(super) services: BTreeMap<String, Service>,
}

/// A service.
#[derive(Deserialize)]
pub(super) struct Service {
    /// How its image is built, if it is.
    pub(super) build: Option<Build>,
    /// The words of its command; `None` for the image's own.
    pub(super) command: Option<Vec<String>>,
    #[serde(default)]
    pub(super) environment: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) volumes: Vec<Volume>,
    #[serde(default)]
    pub(super) depends_on: BTreeMap<String, Dependency>,
    pub(super) healthcheck: Option<Healthcheck>,
}

/// The folder of a `Dockerfile`.
#[derive(Deserialize)]
pub(super) struct Build {
    pub(super) context: PathBuf,
    pub(super) dockerfile: PathBuf,
}

/// A file or folder of this machine (`bind`), or a volume by its name.
#[derive(Deserialize)]
pub(super) struct Volume {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) source: String,
    pub(super) target: String,
}

/// The state that another service must have reached.
#[derive(Deserialize)]
pub(super) struct Dependency {
    pub(super) condition: String,
}

/// How Docker checks a service's health: `CMD` and the words of a command.
#[derive(Deserialize)]
pub(super) struct Healthcheck {
    pub(super) test: Vec<String>,
}

impl Compose {
    /// Reads the file with its own values, except for the address's port.
    pub(super) async fn read(port: u16) -> Self {
        let arguments = ["--env-file", "/dev/null", "config", "--format", "json"];
        let config = run(&arguments, &[("PORT", &port.to_string())]).await;
        serde_json::from_str(&config.unwrap()).unwrap()
    }

    /// The services in order, each after those that it waits for.
    pub(super) fn in_order(&self) -> Vec<(&str, &Service)> {
        let mut order: Vec<(&str, &Service)> = Vec::new();
        while order.len() < self.services.len() {
            let is_there = |name: &str| order.iter().any(|(there, _)| *there == name);
            let next = self
                .services
                .iter()
                .find(|(name, service)| !is_there(name) && service.depends_on.keys().all(|dependency| is_there(dependency)));
            let (name, service) = next.expect("services wait for each other");
            order.push((name, service));
        }
        order
    }

    /// Whether others wait for this service's end.
    pub(super) fn ends(&self, name: &str) -> bool {
        let mut waits = self.services.values().filter_map(|service| service.depends_on.get(name));
        waits.any(|dependency| dependency.condition == "service_completed_successfully")
    }
}

/// The output of `docker compose`, or its error.
pub(super) async fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Result<String, String> {
    let mut command = Command::new(cache::path("docker-compose-5.1.2"));
    command
        .args(arguments)
        .current_dir(manifest(""))
        // What a project of one's own may have in the environment.
        .env_remove("DJANGO_SECRET_KEY")
        .envs(environment.iter().copied());
    let output = within(SOON, "docker compose", command.output()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    if output.status.success() && output.stderr.is_empty() {
        Ok(text(output.stdout))
    } else {
        Err(text(output.stderr))
    }
}
