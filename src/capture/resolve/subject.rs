//! Resolution of a watch's table.

use sqlx::PgPool;

use super::code::{CANNOT_WATCH, MISSING_TABLE, UNKNOWN_MODEL, UNKNOWN_TABLE};
use crate::capture::catalog::{self, Kind, Relation};
use crate::capture::identifier::QualifiedName;
use crate::config::diagnostic::{Diagnostic, Diagnostics};
use crate::config::nearest::{did_you_mean, nearest};
use crate::config::{Span, Spanned, Subject, TableName};
use crate::django;

/// The schema that holds Instant's own tables.
const OWN_SCHEMA: &str = "instant";

/// Finds the table of a watch; records a problem and returns `None` if there is none that can have triggers.
pub(super) async fn find(
    pool: &PgPool,
    subject: &Spanned<Subject>,
    diagnostics: &mut Diagnostics,
) -> Result<Option<Relation>, sqlx::Error> {
    let name = match &subject.value {
        Subject::Table(name) => name.clone(),
        Subject::Model { app, model, table } => django::table(pool, app, model, table.as_ref()).await?,
    };
    let Some(relation) = catalog::find(pool, name.schema.as_deref(), &name.name).await? else {
        let problem = match &subject.value {
            Subject::Model { app, model, table: None } => unknown_model(pool, subject, app, model, &name).await?,
            Subject::Model { .. } | Subject::Table(_) => unknown_table(pool, &subject.span, &name).await?,
        };
        diagnostics.push(problem);
        return Ok(None);
    };
    if let Some(reason) = unwatchable(&relation) {
        let message = format!("`{}` cannot be watched", relation.name);
        diagnostics.push(Diagnostic::error(CANNOT_WATCH, subject.span.clone(), message, reason));
        return Ok(None);
    }
    Ok(Some(relation))
}

/// Returns a table's name as the configuration writes it.
pub(super) fn display(name: &TableName) -> String {
    name.schema.as_ref().map_or_else(
        || name.name.clone(),
        |schema| QualifiedName::new(schema, &name.name).to_string(),
    )
}

/// Returns why `relation` cannot have our triggers; `None` if it can.
fn unwatchable(relation: &Relation) -> Option<&'static str> {
    match relation.kind {
        Kind::View => Some("a view has no rows of its own: watch the tables below it"),
        Kind::Foreign => Some("a foreign table's rows are written elsewhere"),
        _ if relation.name.schema == OWN_SCHEMA => Some("Instant's own table: each change would cause another"),
        _ => None,
    }
}

/// Returns the problem of a model without a table. Content types show whether the project has such a model: they list every migrated one,
/// in lower case, whatever its table is called.
async fn unknown_model(
    pool: &PgPool,
    subject: &Spanned<Subject>,
    app: &str,
    model: &str,
    table: &TableName,
) -> Result<Diagnostic, sqlx::Error> {
    let place = catalog::absence(pool, None).await?;
    let models = django::models(pool).await?;
    let wanted = model.to_lowercase();
    if models.iter().any(|known| known.app == app && known.name == wanted) {
        let message = format!("model `{app}.{model}` has no table `{}`", table.name);
        let problem = Diagnostic::error(MISSING_TABLE, subject.span.clone(), message, place);
        let help = "where the model sets `db_table`, name it: `table = \"…\"`; for a proxy, watch the concrete model, with `when`; \
                    otherwise run `manage.py migrate`";
        return Ok(problem.help(help.to_owned()));
    }
    let message = format!("there is no model `{app}.{model}`, nor a table `{}`", table.name);
    let problem = Diagnostic::error(UNKNOWN_MODEL, subject.span.clone(), message, place);
    let known: Vec<String> = models.iter().map(|model| format!("{}.{}", model.app, model.name)).collect();
    if !known.is_empty() {
        return Ok(problem.help(did_you_mean(&format!("{app}.{wanted}"), known.iter().map(String::as_str))));
    }
    // Without content types, the tables' names at least show what exists.
    let tables = catalog::names(pool, None).await?;
    let near = nearest(&table.name, tables.iter().map(String::as_str));
    Ok(problem.help(near.map(|near| format!("there is a table `{near}`"))))
}

/// Returns the problem of a table that does not exist.
pub(super) async fn unknown_table(pool: &PgPool, span: &Span, table: &TableName) -> Result<Diagnostic, sqlx::Error> {
    let message = format!("there is no table `{}`", display(table));
    let place = catalog::absence(pool, table.schema.as_deref()).await?;
    let problem = Diagnostic::error(UNKNOWN_TABLE, span.clone(), message, place);
    let tables = catalog::names(pool, table.schema.as_deref()).await?;
    Ok(problem.help(did_you_mean(&table.name, tables.iter().map(String::as_str))))
}
