//! `instant init`: writes `instant.toml` for a project.

mod project;
mod subject;

use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use secrecy::{ExposeSecret, SecretString};

use super::Context;
use crate::capture::{self, Surveyed};
use crate::config::TableName;
use project::{Project, default_table, table_name};
use subject::{Field, Subject, is_secret, quoted};

/// The name of the configuration file.
const FILE: &str = "instant.toml";
/// The variable with the database's URL, if nothing else gives it.
const URL_VARIABLE: &str = "DATABASE_URL";
/// Django's default age of a session, in seconds.
const TWO_WEEKS: u64 = 14 * 24 * 3600;
/// Prefixes of the tables of Django and its own apps.
const DJANGOS: [&str; 2] = ["django_", "auth_"];

/// Write a commented instant.toml for a project.
///
/// Reads the models from the Django project, or, without a manage.py, the tables from the database. An existing file is left unchanged.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  instant init\n  instant init --manage shop/manage.py --python .venv/bin/python\n  instant init --diff --app auth"
)]
pub(super) struct Args {
    /// Path to the project's manage.py [default: manage.py in the current folder, if there is one].
    #[arg(long, value_name = "FILE")]
    manage: Option<PathBuf>,
    /// The project's Python interpreter [default: that of the active virtual environment, of one next to manage.py, or python3].
    #[arg(long, value_name = "FILE")]
    python: Option<PathBuf>,
    /// Also propose the models of this installed app, by its label; may be repeated.
    #[arg(long, value_name = "LABEL")]
    app: Vec<String>,
    /// Print only what the file does not mention yet, and write nothing.
    #[arg(long)]
    diff: bool,
}

/// What can be watched, and the project.
struct Found {
    subjects: Vec<Subject>,
    project: Option<Project>,
    /// What was asked, human-readable.
    source: String,
}

pub(super) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let manage = args
        .manage
        .clone()
        .or_else(|| Some(PathBuf::from("manage.py")).filter(|manage| manage.is_file()));
    let beside = manage.as_deref().and_then(Path::parent).unwrap_or_else(|| Path::new(""));
    let path = context.config.clone().unwrap_or_else(|| beside.join(FILE));
    let known = match std::fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(error).with_context(|| format!("{} cannot be read", path.display())),
    };
    if known.is_some() && !args.diff {
        writeln!(
            anstream::stdout(),
            "{} already exists and is left unchanged; `instant init --diff` shows what it does not mention yet",
            path.display()
        )?;
        return Ok(ExitCode::SUCCESS);
    }
    let found = look(&args, manage.as_deref(), context).await?;
    let mut stdout = anstream::stdout().lock();
    if args.diff {
        let known = known.unwrap_or_default();
        let new: Vec<&Subject> = found.subjects.iter().filter(|subject| !subject.is_in(&known)).collect();
        if new.is_empty() {
            writeln!(stdout, "{} mentions everything that {} has", path.display(), found.source)?;
        }
        for subject in new {
            writeln!(stdout, "{}", subject.proposal())?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    // Not over a file that was created meanwhile.
    let mut file = std::fs::File::create_new(&path).with_context(|| format!("{} cannot be written", path.display()))?;
    file.write_all(text(&found).as_bytes())?;
    writeln!(
        stdout,
        "wrote {}: {} to choose from, found in {}",
        path.display(),
        found.subjects.len(),
        found.source
    )?;
    writeln!(stdout, "next:")?;
    writeln!(
        stdout,
        "  for completion in an editor: instant gen schema > instant.schema.json"
    )?;
    writeln!(stdout, "  remove the `#` from what should be live")?;
    let secret = if found.project.is_some() {
        " and DJANGO_SECRET_KEY"
    } else {
        ""
    };
    writeln!(stdout, "  set {URL_VARIABLE}{secret}, then: instant check --db")?;
    Ok(ExitCode::SUCCESS)
}

async fn look(args: &Args, manage: Option<&Path>, context: &Context) -> anyhow::Result<Found> {
    if let Some(manage) = manage {
        let project = Project::ask(manage, args.python.as_deref()).await?;
        return Ok(Found {
            subjects: project.subjects(&args.app)?,
            source: format!("{} (Django {})", manage.display(), project.version),
            project: Some(project),
        });
    }
    let url = context
        .database_url
        .clone()
        .or_else(|| std::env::var(URL_VARIABLE).ok().map(SecretString::from));
    let Some(url) = url.filter(|url| !url.expose_secret().is_empty()) else {
        bail!("there is no manage.py in this folder, and {URL_VARIABLE} is not set: name one with --manage or --database-url");
    };
    let pool = super::context::connect(&url).await?;
    let tables = capture::survey(&pool).await?;
    pool.close().await;
    let is_own = |table: &&Surveyed| !DJANGOS.iter().any(|start| table.name.name.starts_with(start));
    Ok(Found {
        subjects: tables.iter().filter(is_own).map(subject).collect(),
        source: "the database".to_owned(),
        project: None,
    })
}

fn subject(table: &Surveyed) -> Subject {
    let name = TableName {
        schema: (!table.on_path).then(|| table.name.schema.clone()),
        name: table.name.name.clone(),
    };
    let name = name.to_string();
    let fields = table.columns.iter().map(|column| Field {
        name: column.name.clone(),
        is_key: column.is_key,
        is_hidden: column.is_bulky || is_secret(&column.name),
        is_user: column.is_user,
    });
    Subject {
        place: format!("table = {}", quoted(&name)),
        name,
        fields: fields.collect(),
        parents: Vec::new(),
        links: Vec::new(),
    }
}

/// The file.
fn text(found: &Found) -> String {
    let mut text = String::from(
        "#:schema ./instant.schema.json
# What updates in the browser, and who sees it.
# `instant check --db` finds every mistake, `instant plan` shows what `instant apply` would install.

[database]
url = \"${DATABASE_URL}\"              # a direct connection, not a transaction pooler
# relay_role = \"instant_relay\"       # the role of `instant run`, if it is not the tables' owner

# Browsers connect to `instant run` itself. With these lines Centrifugo takes its place; `instant gen centrifugo` prints its
# configuration.
# [centrifugo]
# url = \"http://127.0.0.1:8002\"
# api_key = \"${CENTRIFUGO_API_KEY}\"

[server]
listen = \"127.0.0.1:8001\"
allowed_origins = [\"http://127.0.0.1:8000\", \"http://localhost:8000\"]   # where the site's pages come from
",
    );
    if let Some(project) = &found.project {
        text.push_str(&django(project));
    }
    if found.subjects.is_empty() {
        text.push_str("\n# Found nothing of the project's own to watch. A model of any app may be named:\n# [[watch]]\n# model = \"auth.User\"\n");
    } else {
        text.push_str(
            "\n# Below: what can be watched, each with a rule for staff, and one for the user that a row belongs to. Other targets are
# \"public\", \"users\", \"superuser\" and { group = \"editors\" }; `on`, `changed`, `when`, `message` and `data` refine a rule.\n",
        );
    }
    for subject in &found.subjects {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n# {}\n{}", subject.name, subject.proposal());
    }
    text
}

/// The settings for log-ins.
fn django(project: &Project) -> String {
    let engine = project.session_engine.rsplit('.').next().unwrap_or_default();
    let is_readable = project.sessions && matches!(engine, "db" | "cached_db" | "signed_cookies");
    let Some(model) = project.user_model.as_deref().filter(|_| is_readable) else {
        return "
# Instant cannot read the project's sessions: name an endpoint of the site that identifies the user of a request.
# [django]
# whoami = \"http://127.0.0.1:8000/whoami\"
"
        .to_owned();
    };
    let mut lines = vec!["[django]".to_owned(), "secret_key = \"${DJANGO_SECRET_KEY}\"".to_owned()];
    if project.session_cookie != "sessionid" {
        lines.push(format!("session_cookie = {}", quoted(&project.session_cookie)));
    }
    if engine != "db" {
        lines.push(format!("session_engine = {}", quoted(engine)));
    }
    if project.session_cookie_age != TWO_WEEKS {
        lines.push(format!("session_cookie_age = \"{}s\"", project.session_cookie_age));
    }
    if model != "auth.User" {
        lines.push(format!("user_model = {}", quoted(model)));
        let own = project.user_table.iter().filter(|table| **table != default_table(model));
        lines.extend(own.map(|table| format!("user_table = {}", quoted(&table_name(table)))));
    }
    format!("\n{}\n", lines.join("\n"))
}
