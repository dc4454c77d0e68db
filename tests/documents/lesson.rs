//! A page that is followed as by a reader, snippet by snippet, in a folder of its own.
//!
//! A snippet whose first line is a comment with a path is that file (`# shop/models.py`), or a part that is appended to it
//! (`# instant.toml, at the end`). A snippet of shell is run. Ports are those of this run, and any other difference from a
//! reader's machine is set at the start of the lesson.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;

use crate::client::page::browse;
use crate::support::cache::{self, manifest};
use crate::support::document::{Snippet, snippets};
use crate::support::postgres::free_port;
use crate::support::process::Process;
use crate::support::tether;
use crate::support::wait::{SOON, eventually, within};

/// The suffix after the name of a file that a snippet is appended to.
const AT_THE_END: &str = ", at the end";

/// A page that is followed from its first snippet to its last.
pub(super) struct Lesson {
    page: &'static str,
    rest: std::vec::IntoIter<Snippet>,
    folder: TempDir,
    /// The replacements in snippets and in commands.
    replaced: Vec<(String, String)>,
    environment: Vec<(String, String)>,
}

impl Lesson {
    /// Opens a page in an empty folder. `instant` and the `python` of the tests are on the search path.
    pub(super) fn of(page: &'static str) -> Self {
        let binary = Path::new(env!("CARGO_BIN_EXE_instant"));
        let folders = [
            binary.parent().unwrap().to_owned(),
            cache::path("python/bin"),
            cache::path("postgres-18/bin"),
        ];
        let path = std::env::var_os("PATH").unwrap();
        let path = std::env::join_paths(folders.into_iter().chain(std::env::split_paths(&path)))
            .unwrap()
            .into_string()
            .unwrap();
        let mut lesson = Self {
            page,
            rest: snippets(page).into_iter(),
            folder: tempfile::tempdir().unwrap(),
            replaced: Vec::new(),
            environment: Vec::new(),
        };
        lesson.set("PATH", &path);
        lesson.set("PYTHONPATH", manifest("python").to_str().unwrap());
        lesson.set("PYTHONDONTWRITEBYTECODE", "1");
        lesson
    }

    /// Sets a variable for all later commands.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Prepends a folder to the search path.
    pub(super) fn add_to_path(&mut self, folder: &str) {
        let path = self.environment.iter_mut().find(|(name, _)| name == "PATH").unwrap();
        path.1 = format!("{folder}:{}", path.1);
    }

    /// From here on, replaces `theirs` in a snippet with `ours`.
    pub(super) fn replace(&mut self, theirs: &str, ours: &str) {
        self.replaced.push((theirs.to_owned(), ours.to_owned()));
    }

    /// Uses a free port in place of one on the page.
    pub(super) fn port(&mut self, named: u16) -> u16 {
        let ours = free_port();
        for before in [':', '='] {
            self.replace(&format!("{before}{named}"), &format!("{before}{ours}"));
        }
        ours
    }

    /// Copies the test project into the reader's folder.
    pub(super) fn copy_project(&self) {
        copy(&manifest("tests/project"), self.folder());
    }

    /// The reader's folder.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the next snippet, which must be in this language.
    pub(super) fn take(&mut self, language: &str) -> String {
        let snippet = self.rest.next().unwrap_or_else(|| panic!("{} has ended", self.page));
        assert_eq!(
            snippet.language, language,
            "{}:{}:\n{}",
            self.page, snippet.line, snippet.text
        );
        self.adapted(&snippet.text)
    }

    /// Skips a snippet that is only for reading; `why` says what replaces it here.
    pub(super) fn pass(&mut self, language: &str, why: &str) {
        assert!(!why.is_empty());
        self.take(language);
    }

    /// Writes the files that the next snippets define, as many as there are in a row.
    pub(super) fn write_files(&mut self) {
        let mut count = 0;
        while let Some((name, is_more)) = self.rest.as_slice().first().and_then(|snippet| file(&snippet.text)) {
            let snippet = self.rest.next().unwrap();
            let path = self.folder().join(&name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let (_, text) = snippet.text.split_once('\n').unwrap();
            let mut whole = if is_more {
                std::fs::read_to_string(&path).unwrap()
            } else {
                String::new()
            };
            writeln!(whole, "{}{}", if is_more { "\n" } else { "" }, self.adapted(text).trim_end()).unwrap();
            std::fs::write(path, whole).unwrap();
            count += 1;
        }
        assert!(count > 0, "{}: the next snippet is no file", self.page);
    }

    /// Runs the next snippet, of shell, to its end; returns the output of both streams.
    pub(super) async fn run(&mut self) -> String {
        let script = self.take("sh");
        self.sh(&script).await
    }

    /// Runs the next snippet, of shell, which may fail; returns its output.
    pub(super) async fn try_run(&mut self) -> String {
        let script = self.take("sh");
        self.try_sh(&script).await.1
    }

    /// Sets the variables that the next snippet, of shell, exports.
    pub(super) fn exports(&mut self) {
        for line in self.take("sh").lines() {
            let (name, value) = line
                .strip_prefix("export ")
                .and_then(|line| line.split_once('='))
                .expect(line);
            self.set(name, value.trim_matches('"'));
        }
    }

    /// Runs a piece of shell to its end.
    pub(super) async fn sh(&self, script: &str) -> String {
        let (succeeded, said) = self.try_sh(&format!("set -e\n{script}")).await;
        assert!(succeeded, "{}: {script}\n{said}", self.page);
        said
    }

    /// The same for commands that may fail: returns whether the last succeeded, and all output.
    pub(super) async fn try_sh(&self, script: &str) -> (bool, String) {
        let mut command = tether::command("sh");
        // Both streams in one, as on a terminal.
        command
            .args(["-c", &format!("exec 2>&1\n{script}")])
            .current_dir(self.folder());
        let variables = self.environment.iter().map(|(name, value)| (name, value));
        let mut child = command.envs(variables).stdout(Stdio::piped()).spawn().unwrap();
        // The tether watches this pipe.
        let input = child.stdin.take();
        let output = within(SOON * 4, script, child.wait_with_output()).await.unwrap();
        drop(input);
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs Node's page of a site, the official client with a browser's headers, against a server.
    pub(super) fn client(&self, url: &str, origin: &str, session: &str, channels: &[&str]) -> Process {
        let script = manifest("tests/tools/client/browser.mjs");
        let (packages, cookie) = (cache::path("client"), format!("sessionid={session}"));
        let mut arguments = vec![script.to_str().unwrap(), packages.to_str().unwrap(), url, origin, &cookie];
        arguments.extend(channels);
        let variables: Vec<(&str, &str)> = self.environment.iter().map(|(name, value)| (&**name, &**value)).collect();
        Process::new("node", self.folder(), &arguments, &variables)
    }

    /// Starts the next snippet, of shell, which is one long-running command.
    pub(super) fn start(&mut self) -> Process {
        let script = self.take("sh");
        self.begin(script.trim())
    }

    /// Starts a long-running command.
    pub(super) fn begin(&self, command: &str) -> Process {
        let variables: Vec<(&str, &str)> = self.environment.iter().map(|(name, value)| (&**name, &**value)).collect();
        Process::new("sh", self.folder(), &["-c", &format!("exec env {command}")], &variables)
    }

    /// Starts Django's own server, on the port that stands for 8000.
    pub(super) async fn serve(&self, port: u16) -> Process {
        // Its reloader would leave a second process behind.
        let server = self.begin(&format!("python manage.py runserver --noreload 127.0.0.1:{port}"));
        let address = format!("127.0.0.1:{port}");
        eventually(SOON, "Django's server", async || std::net::TcpStream::connect(&address).ok()).await;
        server
    }

    /// Runs Python in the project's shell; returns its output.
    pub(super) async fn python(&self, code: &str) -> String {
        std::fs::write(self.folder().join("piece.py"), code).unwrap();
        self.sh("python manage.py shell -v 0 < piece.py").await.trim().to_owned()
    }

    /// Logs in as this user; returns the session cookie.
    pub(super) async fn session(&self, name: &str) -> String {
        let code = format!(
            "from django.test import Client; from django.contrib.auth import get_user_model; client = Client(); \
             client.force_login(get_user_model().objects.get(username='{name}')); print(client.cookies['sessionid'].value)"
        );
        self.python(&code).await
    }

    /// Opens an address in a browser of its own.
    pub(super) fn visit(&self, chromium: &Path, url: &str, session: &str) -> Process {
        let profile: PathBuf = tempfile::tempdir_in(self.folder()).unwrap().keep();
        browse(chromium, &profile, url, session)
    }

    /// Compares output with the next snippet, line by line; `…` in the page matches anything.
    pub(super) fn shows(&mut self, printed: &str) {
        let snippet = self.take("text");
        self.printed(&snippet, printed);
    }

    /// The same for a text of the page.
    pub(super) fn printed(&self, wanted: &str, printed: &str) {
        let mut lines = printed.lines();
        for wanted in wanted.lines() {
            assert!(
                lines.any(|line| fits(wanted.trim_end(), line.trim_end())),
                "{}: `{wanted}` does not come, or not there, in\n{printed}",
                self.page
            );
        }
    }

    /// Runs the command of the next snippet, a terminal session: `$ command` and its output.
    pub(super) async fn transcript(&mut self) {
        let snippet = self.take("text");
        let (command, wanted) = snippet.split_once('\n').unwrap();
        let command = command.strip_prefix("$ ").expect(command);
        let (_, printed) = self.try_sh(command).await;
        let (wanted, printed): (Vec<_>, Vec<_>) = (wanted.lines().collect(), printed.trim_end().lines().collect());
        let is_same = wanted.len() == printed.len() && wanted.iter().zip(&printed).all(|(wanted, line)| fits(wanted, line));
        assert!(is_same, "{}: {wanted:#?}\n{printed:#?}", self.page);
    }

    /// Asserts that no snippet is left.
    pub(super) fn finish(mut self) {
        if let Some(snippet) = self.rest.next() {
            panic!("{}:{} was not run", self.page, snippet.line);
        }
    }

    /// Applies the replacements to a text.
    pub(super) fn adapted(&self, text: &str) -> String {
        let replaced = self.replaced.iter();
        replaced.fold(text.to_owned(), |text, (theirs, ours)| text.replace(theirs, ours))
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy(&path, &target);
        } else {
            std::fs::copy(&path, target).unwrap();
        }
    }
}

/// The file that a snippet defines, and whether the snippet is appended to it.
fn file(text: &str) -> Option<(String, bool)> {
    let first = text.lines().next()?;
    let comment = [("# ", ""), ("// ", ""), ("<!-- ", " -->"), ("-- ", "")];
    let name = comment
        .iter()
        .find_map(|(start, end)| first.strip_prefix(start)?.strip_suffix(end))?;
    let (name, is_more) = name.strip_suffix(AT_THE_END).map_or((name, false), |name| (name, true));
    let is_file = (name.contains('.') || name.starts_with('/')) && !name.contains(' ') && !name.ends_with('.');
    // A reader's root is the folder of this run.
    is_file.then(|| (name.trim_start_matches('/').to_owned(), is_more))
}

/// Whether a line matches that of the page.
fn fits(wanted: &str, line: &str) -> bool {
    let mut parts = wanted.split('…');
    let Some(rest) = parts.next().and_then(|start| line.strip_prefix(start)) else {
        return false;
    };
    let mut rest = rest;
    let mut is_open = false;
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
        is_open = part.is_empty();
    }
    is_open || rest.is_empty()
}

#[test]
fn a_line_of_a_page_fits_what_is_printed_where_its_gaps_are() {
    assert!(fits("create trigger (… ms)", "create trigger (12 ms)") && fits("live …", "live http://a") && fits("a", "a"));
    assert!(!fits("create trigger (… ms)", "create table (12 ms)") && !fits("a", "ab") && !fits("…b", "abc"));
}

#[test]
fn a_snippet_says_which_file_it_is() {
    let named = |text| file(text).map(|(name, is_more)| format!("{name} {is_more}"));
    assert_eq!(named("# shop/models.py\n").unwrap(), "shop/models.py false");
    assert_eq!(named("# instant.toml, at the end\n").unwrap(), "instant.toml true");
    assert_eq!(named("<!-- shop/orders.html -->\n").unwrap(), "shop/orders.html false");
    assert_eq!(named("# Anything else.\n"), None);
    assert_eq!(named("instant dev\n"), None);
}
