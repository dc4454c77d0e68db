//! Pages of the Django project, in a real browser.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::support::cache::{self, manifest};
use crate::support::process::Process;
use crate::support::site::Site;
use crate::support::wait::{SOON, eventually};

/// The files that pages find under `/static/`, as paths in the cache.
const SCRIPTS: [(&str, &str); 3] = [
    ("htmx.min.js", "browser/node_modules/htmx.org/dist/htmx.min.js"),
    ("htmx4.min.js", "browser/node_modules/htmx4/dist/htmx.min.js"),
    ("alpine.min.js", "browser/node_modules/alpinejs/dist/cdn.min.js"),
];

/// Django's web server for one site, with pages that a test writes.
pub(super) struct Pages {
    /// `http://localhost:…`, an allowed origin of the site.
    origin: String,
    folder: TempDir,
    chromium: PathBuf,
    _server: Process,
}

impl Pages {
    /// Starts Django's own server; `None`, with a message, if there is no Chromium.
    pub(super) async fn of(site: &Site) -> Option<Self> {
        Self::at(site, site.pages).await
    }

    /// The same on another port than the one that browsers use.
    pub(super) async fn at(site: &Site, port: u16) -> Option<Self> {
        let chromium = chromium()?;
        let folder = tempfile::tempdir().unwrap();
        for (name, path) in SCRIPTS {
            std::fs::copy(cache::path(path), folder.path().join(name)).unwrap();
        }
        let python = cache::path("python/bin/python");
        let address = format!("127.0.0.1:{port}");
        let environment = [
            ("DATABASE_URL", &*site.django.database.url),
            ("PAGES", folder.path().to_str().unwrap()),
            ("PYTHONDONTWRITEBYTECODE", "1"),
        ];
        let arguments = ["manage.py", "runserver", "--noreload", &address];
        let server = Process::new(python, &manifest("tests/project"), &arguments, &environment);
        eventually(SOON, "Django's server", async || {
            let answer = site.http.get(format!("http://{address}/orders/")).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
        Some(Self {
            origin: format!("http://localhost:{}", site.pages),
            folder,
            chromium,
            _server: server,
        })
    }

    /// Has the site's own endpoint answer with this connection token from now on, or with none.
    pub(super) fn give(&self, token: Option<&str>) {
        let path = self.folder.path().join("token");
        match token {
            Some(token) => std::fs::write(path, token).unwrap(),
            None => std::fs::remove_file(path).unwrap(),
        }
    }

    /// Opens a page with this in its body and a session, and waits until it is connected. Its events are logged by line: `text: …` is
    /// the visible text after each change.
    pub(super) async fn open(&self, site: &Site, session: &str, body: &str) -> Process {
        let page = self.visit(site, session, body);
        page.line("page: ready", SOON * 2).await;
        page
    }

    /// The path of Chromium.
    pub(super) fn chromium(&self) -> &Path {
        &self.chromium
    }

    /// A folder for a browser of its own.
    pub(super) fn profile(&self) -> PathBuf {
        tempfile::tempdir_in(self.folder.path()).unwrap().keep()
    }

    /// The same without waiting for a connection.
    pub(super) fn visit(&self, site: &Site, session: &str, body: &str) -> Process {
        let html = format!("<!doctype html><meta charset=utf-8><link rel=icon href='data:,'>{body}");
        let profile = self.profile();
        // Django keeps templates by name, so each page has its own.
        let page = profile.with_extension("html");
        std::fs::write(&page, adapt(site, &html)).unwrap();
        let url = format!("{}/pages/{}", self.origin, page.file_name().unwrap().display());
        browse(&self.chromium, &profile, &url, session)
    }
}

/// Opens an address in a Chromium of its own, with or without a session cookie. The page's events are logged line by line.
pub(crate) fn browse(chromium: &Path, profile: &Path, url: &str, session: &str) -> Process {
    let (script, packages) = (manifest("tests/client/browser.mjs"), cache::path("browser"));
    let [script, packages, chromium, folder] = [&script, &packages, chromium, profile].map(|path| path.to_str().unwrap());
    Process::new(
        "node",
        profile.parent().unwrap(),
        &[script, packages, chromium, folder, url, session],
        &[],
    )
}

/// Replaces the ports in the documents with those of a site.
fn adapt(site: &Site, html: &str) -> String {
    let port = |url: &str| url.rsplit_once(':').unwrap().1.to_owned();
    html.replace("localhost:8001", &format!("localhost:{}", port(&site.url)))
        .replace("localhost:8002", &format!("localhost:{}", port(&site.centrifugo.url)))
        .replace("\"/static/", "\"/pages/")
}

/// Fails if the page had an error, or sent a request to anything but the site.
pub(crate) fn is_clean(page: &Process) {
    let output = page.output();
    let wrong = output
        .lines()
        .find(|line| line.starts_with("error: ") || line.starts_with("outside: "));
    assert_eq!(wrong, None, "{output}");
}

/// Chromium as `tests/tools/setup` has found it.
pub(crate) fn chromium() -> Option<PathBuf> {
    let link = cache::path("browser").with_file_name("chromium");
    if link.exists() {
        return Some(link);
    }
    let why = "skipped: Chromium is not installed here; `tests/tools/setup` installs it, as root on Debian, or finds yours\n";
    std::io::stderr().write_all(why.as_bytes()).unwrap();
    None
}
