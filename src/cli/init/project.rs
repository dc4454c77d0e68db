//! The description of a Django project, obtained in its own interpreter.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;
use tokio::process::Command;

use super::subject::{Field, Subject, is_secret, quoted};
use crate::config::TableName;

/// The script that is run there.
const PROBE: &str = include_str!("probe.py");
/// The prefix of its line: a project may print anything before and after it.
const MARK: &str = "instant:";
/// How long a project may take to load its apps.
const PATIENCE: Duration = Duration::from_mins(1);

/// The answer.
#[derive(Debug, Deserialize)]
pub(super) struct Project {
    pub(super) version: String,
    vendor: String,
    pub(super) user_model: Option<String>,
    pub(super) user_table: Option<String>,
    pub(super) sessions: bool,
    pub(super) session_engine: String,
    pub(super) session_cookie: String,
    pub(super) session_cookie_age: u64,
    models: Vec<Model>,
}

#[derive(Debug, Deserialize)]
struct Model {
    label: String,
    /// The models whose tables hold what it inherits.
    parents: Vec<String>,
    table: String,
    own: bool,
    fields: Vec<ModelField>,
    links: Vec<Link>,
}

#[derive(Debug, Deserialize)]
struct Link {
    name: String,
    table: String,
}

#[derive(Debug, Deserialize)]
struct ModelField {
    name: String,
    column: String,
    kind: String,
    key: bool,
    leads_to: Option<String>,
}

impl ModelField {
    /// How a watch of the model names it: the database has a field's name only as its column or as that of a foreign key.
    fn named(&self) -> &str {
        if self.column == self.name || self.column == format!("{}_id", self.name) {
            &self.name
        } else {
            &self.column
        }
    }

    /// Whether its values are of no use in a browser, or too large for one.
    fn is_bulky(&self) -> bool {
        matches!(self.kind.as_str(), "BinaryField" | "SearchVectorField" | "GeneratedField")
    }
}

impl Project {
    /// Asks the project of this `manage.py`.
    ///
    /// # Errors
    /// When no interpreter is found, the project does not load, or its database is not PostgreSQL.
    pub(super) async fn ask(manage: &Path, python: Option<&Path>) -> anyhow::Result<Self> {
        ensure!(manage.is_file(), "there is no {}", manage.display());
        let folder = manage.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or_else(|| Path::new("."));
        let python = python.map_or_else(|| interpreter(folder), Path::to_owned);
        let file = manage.file_name().unwrap_or_default();
        let mut command = Command::new(&python);
        command.arg(file).args(["shell", "-c", PROBE]).current_dir(folder);
        let run = command.stdin(Stdio::null()).kill_on_drop(true).output();
        let output = tokio::time::timeout(PATIENCE, run)
            .await
            .with_context(|| format!("{} does not answer within {} s", manage.display(), PATIENCE.as_secs()))?
            .with_context(|| {
                format!(
                    "{} cannot be run; name the project's interpreter with --python",
                    python.display()
                )
            })?;
        let text = String::from_utf8_lossy(&output.stdout);
        let Some(line) = text.lines().find_map(|line| line.strip_prefix(MARK)) else {
            let said = String::from_utf8_lossy(&output.stderr);
            // A traceback ends with the error.
            let last = said
                .lines()
                .rev()
                .find(|line| !line.trim().is_empty())
                .unwrap_or("it printed nothing");
            bail!(
                "the project does not load under {}: {last}\nname its interpreter with --python, and set the variables that its settings need",
                python.display()
            );
        };
        let project: Self = serde_json::from_str(line).context("the project's answer cannot be read")?;
        ensure!(
            project.vendor == "postgresql",
            "the project's database is {}; Instant needs PostgreSQL",
            project.vendor
        );
        Ok(project)
    }

    /// The models of its own apps and of `apps`, in their order.
    ///
    /// # Errors
    /// When one of `apps` has no models.
    pub(super) fn subjects(&self, apps: &[String]) -> anyhow::Result<Vec<Subject>> {
        let app = |model: &Model| model.label.split('.').next().unwrap_or_default().to_owned();
        if let Some(unknown) = apps.iter().find(|name| !self.models.iter().any(|model| app(model) == **name)) {
            let known: BTreeSet<String> = self.models.iter().map(app).collect();
            let known: Vec<String> = known.into_iter().collect();
            bail!(
                "the project has no models in an app `{unknown}`; the apps with models are {}",
                known.join(", ")
            );
        }
        let wanted = |model: &&Model| model.own || apps.contains(&app(model));
        let subject = |model: &Model| {
            // A table with another name is not found by the model's name.
            let is_default = model.table == default_table(&model.label);
            let field = |field: &ModelField| Field {
                name: if is_default { field.named() } else { &field.column }.to_owned(),
                is_key: field.key,
                is_hidden: field.is_bulky() || is_secret(&field.name) || is_secret(&field.column),
                is_user: field.leads_to.is_some() && field.leads_to == self.user_model,
            };
            let link = |link: &Link| match &model.label {
                label if link.table == format!("{}_{}", default_table(label), link.name) => {
                    model_place(&format!("{label}.{}", link.name))
                }
                _ => table_place(&link.table),
            };
            Subject {
                place: if is_default {
                    model_place(&model.label)
                } else {
                    table_place(&model.table)
                },
                name: model.label.clone(),
                fields: model.fields.iter().map(field).collect(),
                parents: model.parents.clone(),
                links: model.links.iter().map(link).collect(),
            }
        };
        Ok(self.models.iter().filter(wanted).map(subject).collect())
    }
}

fn model_place(name: &str) -> String {
    format!("model = {}", quoted(name))
}

fn table_place(table: &str) -> String {
    format!("table = {}", quoted(&table_name(table)))
}

/// The table that Django gives a model that names none.
pub(super) fn default_table(label: &str) -> String {
    label.replacen('.', "_", 1).to_lowercase()
}

/// A table as a watch names it. Django quotes one with a schema in its own way: `shop"."order`.
pub(super) fn table_name(table: &str) -> String {
    let (schema, name) = match table.trim_matches('"').split_once("\".\"") {
        Some((schema, name)) => (Some(schema.to_owned()), name),
        None => (None, table.trim_matches('"')),
    };
    let name = name.to_owned();
    TableName { schema, name }.to_string()
}

/// The interpreter of the virtual environment that is active or next to `manage.py`, or else the system's.
fn interpreter(folder: &Path) -> PathBuf {
    let active = std::env::var_os("VIRTUAL_ENV").map(PathBuf::from);
    let beside = [".venv", "venv", "env"].map(|name| folder.join(name));
    active
        .into_iter()
        .chain(beside)
        .map(|environment| environment.join("bin/python"))
        // The command runs in the project's folder.
        .filter_map(|python| std::path::absolute(python).ok())
        .find(|python| python.is_file())
        .unwrap_or_else(|| "python3".into())
}
