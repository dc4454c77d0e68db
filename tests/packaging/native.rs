//! The services of `docker-compose.yml` without their images: the same commands, environment and files on this machine.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::compose::{Compose, Service};
use crate::support::cache::{self, manifest};
use crate::support::postgres::{self, free_port};
use crate::support::process::Process;
use crate::support::wait::{SOON, eventually};

/// The port of each service inside its container.
const PORTS: [(&str, u16); 5] = [
    ("postgres", 5432),
    ("centrifugo", 8000),
    ("instant", 8001),
    ("django", 8000),
    ("front", 8080),
];

/// The configuration of nginx's image around the mounted file.
const NGINX: &str = "daemon off; master_process off; pid nginx.pid; error_log stderr;
events {}
http {
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    include SITE;
}";

/// The running services, ended when dropped.
pub(super) struct Native {
    /// The port of the one public address.
    pub(super) front: u16,
    folder: TempDir,
    ports: BTreeMap<&'static str, u16>,
    running: Vec<Process>,
}

impl Native {
    /// Starts every service as soon as those that it waits for are ready; `None` if this machine has no nginx.
    pub(super) async fn start() -> Option<Self> {
        let nginx = cache::find("nginx/program")?;
        let folder = tempfile::tempdir().unwrap();
        let programs = [
            ("instant", PathBuf::from(env!("CARGO_BIN_EXE_instant"))),
            ("centrifugo", cache::path("centrifugo-6.9.1")),
            ("nginx", nginx),
        ];
        fs::create_dir(folder.path().join("bin")).unwrap();
        for (name, program) in programs {
            symlink(program, folder.path().join("bin").join(name)).unwrap();
        }
        let ports: BTreeMap<&str, u16> = PORTS.iter().map(|(name, _)| (*name, free_port())).collect();
        let mut native = Self {
            front: ports["front"],
            folder,
            ports,
            running: Vec::new(),
        };
        let compose = Compose::read(native.front).await;
        for (name, service) in compose.in_order() {
            native.start_service(name, service, compose.ends(name)).await;
        }
        Some(native)
    }

    async fn start_service(&mut self, name: &str, service: &Service, ends: bool) {
        let command = match name {
            "postgres" => {
                self.postgres(service).await;
                None
            }
            "front" => Some(self.nginx(service)),
            _ => Some(service.command.clone().unwrap()),
        };
        if let Some(command) = command {
            let mut process = self.process(name, service, &command);
            if ends {
                let status = process.wait(SOON * 3).await;
                assert!(status.success(), "{name}: {}", process.output());
                return;
            }
            self.running.push(process);
        }
        let test = &service.healthcheck.as_ref().expect(name).test;
        assert_eq!(test[0], "CMD");
        eventually(SOON * 2, &format!("a healthy {name}"), async || {
            let mut check = self.process(name, service, &test[1..]);
            let is_healthy = check.wait(SOON).await.success();
            if let Some(process) = self.running.last_mut() {
                assert!(
                    !process.has_ended(),
                    "{name} or one before it has ended: {}",
                    process.output()
                );
            }
            is_healthy.then_some(())
        })
        .await;
    }

    /// A command of a service, with only the variables of its image and the file in its environment.
    fn process(&self, name: &str, service: &Service, command: &[String]) -> Process {
        let image = Image::of(service);
        let bin = [
            self.folder.path().join("bin"),
            cache::path("python/bin"),
            cache::path("postgres-18/bin"),
        ];
        let bin = bin.map(|folder| folder.display().to_string()).join(":");
        // PostgreSQL's own programs name no port in its container.
        let port = self.ports.get(name).copied().unwrap_or_default();
        let mut words = vec!["-i".to_owned(), format!("PATH={bin}:/usr/bin:/bin"), format!("PGPORT={port}")];
        for (variable, value) in image.environment.iter().chain(&service.environment) {
            words.push(format!("{variable}={}", self.native(name, service, value)));
        }
        words.extend(command.iter().map(|word| self.native(name, service, word)));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        Process::new("env", image.folder.as_deref().unwrap_or(self.folder.path()), &words, &[])
    }

    /// A text of a service with this machine's addresses and paths in place of the containers'.
    fn native(&self, name: &str, service: &Service, text: &str) -> String {
        let mut text = self.addresses(name, text);
        for volume in &service.volumes {
            if text.contains(&volume.target) {
                let source = self.volume(name, &volume.kind, &volume.source);
                text = text.replace(&volume.target, source.to_str().unwrap());
            }
        }
        text
    }

    fn addresses(&self, name: &str, text: &str) -> String {
        let mut text = text.to_owned();
        for (other, inside) in PORTS {
            let native = format!("127.0.0.1:{}", self.ports[other]);
            text = text.replace(&format!("{other}:{inside}"), &native);
            if other == name {
                for own in [format!("0.0.0.0:{inside}"), format!("127.0.0.1:{inside}")] {
                    text = text.replace(&own, &native);
                }
                text = text.replace(&format!("listen {inside};"), &format!("listen {native};"));
            }
        }
        text
    }

    /// A volume's folder, or a copy of a file with this machine's addresses.
    fn volume(&self, name: &str, kind: &str, source: &str) -> PathBuf {
        if kind == "volume" {
            let folder = self.folder.path().join("volumes").join(source);
            fs::create_dir_all(&folder).unwrap();
            return folder;
        }
        assert_eq!(kind, "bind", "{source}");
        let copy = self
            .folder
            .path()
            .join(format!("{name}-{}", Path::new(source).file_name().unwrap().display()));
        fs::write(&copy, self.addresses(name, &fs::read_to_string(source).unwrap())).unwrap();
        copy
    }

    /// Creates the role and the database that PostgreSQL's image would from its environment.
    async fn postgres(&mut self, service: &Service) {
        let cluster = postgres::shared(18, &[]).await;
        self.ports.insert("postgres", cluster.port);
        let value = |name: &str| &service.environment[name];
        let (user, password, name) = (value("POSTGRES_USER"), value("POSTGRES_PASSWORD"), value("POSTGRES_DB"));
        let database = cluster.create(name, "template1").await;
        let role = format!("create role {user} superuser login password '{password}'");
        database.connect().await.batch_execute(&role).await.unwrap();
    }

    /// The command of nginx's image, with the mounted file.
    fn nginx(&self, service: &Service) -> Vec<String> {
        let site = &service.volumes[0];
        assert_eq!(site.target, "/etc/nginx/conf.d/default.conf");
        let site = self.volume("front", &site.kind, &site.source);
        let file = self.folder.path().join("nginx.conf");
        fs::write(&file, NGINX.replace("SITE", site.to_str().unwrap())).unwrap();
        let folder = format!("{}/", self.folder.path().display());
        ["nginx", "-p", &folder, "-c", file.to_str().unwrap()]
            .map(str::to_owned)
            .to_vec()
    }
}

/// The settings of a `Dockerfile` for the image's processes.
#[derive(Default)]
struct Image {
    environment: BTreeMap<String, String>,
    /// Their working folder, if the image has one of the source folders there.
    folder: Option<PathBuf>,
}

impl Image {
    fn of(service: &Service) -> Self {
        let Some(build) = &service.build else { return Self::default() };
        let file = fs::read_to_string(build.context.join(&build.dockerfile)).unwrap();
        let last = file.rsplit("\nFROM ").next().unwrap();
        let environment = last.lines().filter_map(|line| line.strip_prefix("ENV ")?.split_once('='));
        let folder = last.lines().find_map(|line| line.strip_prefix("WORKDIR "));
        if let Some(folder) = folder {
            assert_eq!((folder, &build.context), ("/demo", &manifest("demo")));
            assert!(last.contains("\nCOPY . /demo\n"), "{last}");
        }
        Self {
            environment: environment.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            folder: folder.map(|_| build.context.clone()),
        }
    }
}
