//! The generated trigger function of a watch, and the two triggers that call it. Pure text: the same watch, the same bytes.
//!
//! A write must neither fail nor wait because of it, so that everything which can raise stands in an exception block, and what
//! cannot be captured is counted in the sequence `instant.lost`.

mod guard;
mod json;
mod name;

use super::identifier::{QualifiedName, dollar_quoted, identifier, literal};
use super::watch::{Column, Encoding, Watch};
use crate::change::{Operation, Operations};

pub use name::function_name;

/// The trigger of rows. It sorts before every ordinary name: an application's trigger that updates its own row would otherwise
/// have its event written first.
pub const ROW_TRIGGER: &str = "!instant";

/// The trigger of `truncate`.
pub const TRUNCATE_TRIGGER: &str = "!instant_truncate";

/// Settings that decide how [`Encoding::Pinned`] values are written.
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
    /// Its settings, as `pg_proc.proconfig` holds them: `name=value`.
    pub settings: Vec<String>,
    /// Its body, as `pg_proc.prosrc` holds it.
    pub body: String,
}

impl Function {
    /// The function that captures the changes of `watch`.
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

    /// As SQL names it: `instant."name"()`.
    #[must_use]
    pub fn sql_name(&self) -> String {
        format!("instant.{}()", identifier(&self.name))
    }

    /// The statement that creates or replaces it. It takes no lock on any table.
    #[must_use]
    pub fn create(&self) -> String {
        let settings: String = self
            .settings
            .iter()
            .filter_map(|setting| setting.split_once('='))
            .map(|(name, value)| match name {
                // A list of names: quoted as one text it would be one name.
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

    /// The statement that takes the right to call it from everyone but its owner; triggers need none.
    #[must_use]
    pub fn revoke(&self) -> String {
        format!("revoke execute on function {} from public", self.sql_name())
    }
}

/// The statement that creates or replaces the trigger of rows on `table`. It takes SHARE ROW EXCLUSIVE: writers wait, readers
/// do not. No column list and no `when`: both would block `alter table … type`.
#[must_use]
pub fn create_row_trigger(table: &QualifiedName, function: &Function) -> String {
    format!(
        "create or replace trigger {} after insert or update or delete on {}\n    for each row execute function {}",
        identifier(ROW_TRIGGER),
        table.sql(),
        function.sql_name(),
    )
}

/// The statement that creates or replaces the trigger of `truncate` on `table`; its lock is that of [`create_row_trigger`].
#[must_use]
pub fn create_truncate_trigger(table: &QualifiedName, function: &Function) -> String {
    format!(
        "create or replace trigger {} after truncate on {}\n    for each statement execute function {}",
        identifier(TRUNCATE_TRIGGER),
        table.sql(),
        function.sql_name(),
    )
}

/// The captured columns: the key's, then the others.
fn captured(watch: &Watch) -> Vec<&Column> {
    watch.key.iter().chain(&watch.columns).collect()
}

/// The function's body. The types of the columns stand in it, so that another type is another text: a session that has planned the
/// function's statements reads such a column in the fallback alone until the function is replaced.
fn body(watch: &Watch) -> String {
    let (heard, unheard): (Vec<_>, Vec<_>) = Operations::ROWS
        .iter()
        .partition(|operation| watch.operations.contains(*operation));
    let return_early = if unheard.is_empty() {
        String::new()
    } else {
        let unheard: Vec<String> = unheard.iter().map(|operation| quoted(*operation)).collect();
        let unheard = unheard.join(", ");
        format!("    -- No rule hears these.\n    if tg_op in ({unheard}) then\n        return null;\n    end if;\n")
    };
    let rows = if heard.is_empty() { String::new() } else { rows(watch) };
    format!(
        "\n-- Written by `instant apply` from instant.toml; `instant plan` sees every edit.{}\ndeclare\n    new_json  json;\n    \
         old_json  json;\n    change_id bigint;\n    change_at timestamptz;\n    state     text;\nbegin\n{return_early}{rows}{}",
        types(watch),
        guard::insert(watch)
    )
}

/// The comment that tells the types of the captured columns, in their order. A name may hold any character, and a line would end it.
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

/// The block that builds `new_json` and `old_json`, and its fallback. It writes nothing, so it costs no transaction id. Updates are
/// asked for first, and a truncate nobody hears last: a question costs a commit of one row, see [`guard::insert`].
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

/// What the handler does: it reads what is left of the row without naming a column of it, and counts the change as lost where
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

/// An operation as `tg_op` names it.
fn quoted(operation: Operation) -> String {
    literal(&operation.name().to_uppercase())
}

/// `variable := expression;`
fn assign(variable: &str, expression: &str) -> String {
    format!("            {variable} := {expression};\n")
}

#[cfg(test)]
mod tests;
