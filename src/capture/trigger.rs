//! The generated trigger function of a watch, and the two triggers that call it. Pure text: the same watch gives the same bytes.
//!
//! A write must neither fail nor wait because of it: everything that can raise is in an exception block, and changes that cannot be
//! captured are counted in the sequence `instant.lost`.

mod guard;
mod json;
mod name;

use super::identifier::{QualifiedName, dollar_quoted, identifier, literal};
use super::watch::{Column, Encoding, Watch};
use crate::change::{Operation, Operations};

pub(crate) use guard::LOCK_TIMEOUT;
pub use name::function_name;

/// The name of the row trigger. It sorts before every ordinary name: otherwise, the event of an application's trigger that updates its own
/// row would be written first.
pub const ROW_TRIGGER: &str = "!instant";

/// The name of the `truncate` trigger.
pub const TRUNCATE_TRIGGER: &str = "!instant_truncate";

/// The settings that [`Encoding::Pinned`] values depend on, with their pinned values.
pub(crate) const PINNED: [(&str, &str); 5] = [
    ("TimeZone", "UTC"),
    ("DateStyle", "ISO, YMD"),
    ("IntervalStyle", "iso_8601"),
    ("bytea_output", "hex"),
    ("extra_float_digits", "1"),
];

/// A trigger function in the schema `instant`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name in the schema `instant`.
    pub name: String,
    /// Its settings, as in `pg_proc.proconfig`: `name=value`.
    pub settings: Vec<String>,
    /// Its body, as in `pg_proc.prosrc`.
    pub body: String,
}

impl Function {
    /// Returns the function that captures the changes of `watch`.
    #[must_use]
    pub fn new(watch: &Watch) -> Self {
        let mut settings = vec!["search_path=pg_catalog, pg_temp".to_owned(), "lock_timeout=0".to_owned()];
        if captured(watch).iter().any(|column| column.encoding == Encoding::Pinned) {
            settings.extend(PINNED.iter().map(|(name, value)| format!("{name}={value}")));
        }
        Self {
            name: function_name(&watch.schema, &watch.table),
            settings,
            body: body(watch),
        }
    }

    /// Returns its name in SQL: `instant."name"()`.
    #[must_use]
    pub fn sql_name(&self) -> String {
        format!("instant.{}()", identifier(&self.name))
    }

    /// Returns the statement that creates or replaces it. It takes no lock on any table.
    #[must_use]
    pub fn create(&self) -> String {
        let settings: String = self
            .settings
            .iter()
            .filter_map(|setting| setting.split_once('='))
            .map(|(name, value)| match name {
                // A list of names: quoted as one literal, it would be one name.
                "search_path" => format!("    set {name} = {value}\n"),
                _ => format!("    set {name} = {}\n", literal(value)),
            })
            .collect();
        format!(
            "create or replace function {} returns trigger\n    language plpgsql security definer\n{settings}    as {}",
            self.sql_name(),
            dollar_quoted(&self.body),
        )
    }

    /// Returns the statement that revokes the right to call it from everyone but its owner; triggers do not need it.
    #[must_use]
    pub fn revoke(&self) -> String {
        format!("revoke execute on function {} from public", self.sql_name())
    }
}

/// Returns the statement that creates or replaces the row trigger on `table`. It takes SHARE ROW EXCLUSIVE: writers wait, readers do not.
/// It has no column list and no `when`: both would block `alter table … type`.
#[must_use]
pub fn create_row_trigger(table: &QualifiedName, function: &Function) -> String {
    format!(
        "create or replace trigger {} after insert or update or delete on {}\n    for each row execute function {}",
        identifier(ROW_TRIGGER),
        table.sql(),
        function.sql_name(),
    )
}

/// Returns the statement that creates or replaces the `truncate` trigger on `table`, with the same lock as [`create_row_trigger`].
#[must_use]
pub fn create_truncate_trigger(table: &QualifiedName, function: &Function) -> String {
    format!(
        "create or replace trigger {} after truncate on {}\n    for each statement execute function {}",
        identifier(TRUNCATE_TRIGGER),
        table.sql(),
        function.sql_name(),
    )
}

/// Returns the captured columns: the key's, then the others.
fn captured(watch: &Watch) -> Vec<&Column> {
    watch.key.iter().chain(&watch.columns).collect()
}

/// Returns the function's body. It contains the types of the columns, so that another type gives another text: a session that has planned
/// the function's statements reads a retyped column only in the fallback until the function is replaced.
fn body(watch: &Watch) -> String {
    let (handled, ignored): (Vec<_>, Vec<_>) = Operations::ROWS
        .iter()
        .partition(|operation| watch.operations.contains(*operation));
    let return_early = if ignored.is_empty() {
        String::new()
    } else {
        let ignored: Vec<String> = ignored.iter().map(|operation| quoted(*operation)).collect();
        let ignored = ignored.join(", ");
        format!("    -- No rule hears these.\n    if tg_op in ({ignored}) then\n        return null;\n    end if;\n")
    };
    let rows = if handled.is_empty() { String::new() } else { rows(watch) };
    format!(
        "\n-- Written by `instant apply` from instant.toml; `instant plan` sees every edit.{}\ndeclare\n    new_json  json;\n    \
         old_json  json;\n    change_id bigint;\n    change_at timestamptz;\n    state     text;\nbegin\n{return_early}{rows}{}",
        types(watch),
        guard::insert(watch)
    )
}

/// Returns the comment with the types of the captured columns, in their order. A name may contain any character, and a line break would
/// end the comment.
fn types(watch: &Watch) -> String {
    let types: Vec<&str> = captured(watch).iter().map(|column| column.data_type.as_str()).collect();
    if types.is_empty() {
        return String::new();
    }
    format!(
        "\n-- Of columns of the types {}.",
        types.join(", ").replace(char::is_control, "?")
    )
}

/// Returns the block that builds `new_json` and `old_json`, and its fallback. It writes nothing, so it costs no transaction ID. It tests
/// for updates first, and for a truncate that no rule fires on last: each test adds to the cost of a one-row commit, see
/// [`guard::insert`].
fn rows(watch: &Watch) -> String {
    let captured = captured(watch);
    let old: Vec<&Column> = watch.old.iter().collect();
    let compared = if watch.columns.is_empty() { &[][..] } else { &captured[..] };
    let old_object = if old.is_empty() {
        String::new()
    } else {
        assign("old_json", &json::object("old", &old))
    };
    let branches: Vec<String> = [
        (
            Operation::Update,
            format!(
                "            if {} then\n                return null;\n            end if;\n{}{old_object}",
                json::unchanged(compared),
                assign("new_json", &json::object("new", &captured)),
            ),
        ),
        (Operation::Insert, assign("new_json", &json::object("new", &captured))),
        (Operation::Delete, assign("old_json", &json::object("old", &captured))),
    ]
    .into_iter()
    .filter(|(operation, _)| watch.operations.contains(*operation))
    .map(|(operation, statements)| format!("if tg_op = {} then\n{statements}", quoted(operation)))
    .collect();
    let otherwise = if watch.operations.contains(Operation::Truncate) {
        ""
    } else {
        "        else\n            -- A truncate, which no rule hears.\n            return null;\n"
    };
    format!(
        "    begin\n        {}{otherwise}        end if;\n    exception when others then\n{}    end;\n",
        branches.join("        els"),
        fallback(watch, &captured, compared, &old),
    )
}

/// Returns the exception handler: it reads what is left of the row without naming any of its columns, and counts the change as lost if
/// even that raises.
fn fallback(watch: &Watch, captured: &[&Column], compared: &[&Column], old: &[&Column]) -> String {
    let of_update = if watch.operations.contains(Operation::Update) {
        let (before, after) = if compared.is_empty() {
            ("row_to_json(old)", "row_to_json(new)")
        } else {
            ("old_json", "new_json")
        };
        let narrowed = if old.is_empty() {
            "null".to_owned()
        } else {
            json::remaining("old", old)
        };
        format!(
            "            if tg_op = 'UPDATE' then\n                if {before}::text = {after}::text then\n                    \
             return null;\n                end if;\n    {}            end if;\n",
            assign("old_json", &narrowed),
        )
    } else {
        String::new()
    };
    format!(
        "        -- A column was dropped, renamed or retyped: what is left of the row, none of its columns named.\n        begin\n\
         {}{}{of_update}        exception when others then\n{}            return null;\n        end;\n",
        assign("new_json", &json::remaining("new", captured)),
        assign("old_json", &json::remaining("old", captured)),
        guard::count_lost("            "),
    )
}

/// Returns an operation as a literal of `tg_op`.
fn quoted(operation: Operation) -> String {
    literal(&operation.name().to_uppercase())
}

/// Returns `variable := expression;`.
fn assign(variable: &str, expression: &str) -> String {
    format!("            {variable} := {expression};\n")
}

#[cfg(test)]
mod tests;
