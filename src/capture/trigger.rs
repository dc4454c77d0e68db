//! The text of a watch's trigger function, and its triggers' definitions.
//!
//! The text follows what broke earlier drafts: no column list and no WHEN, so that no migration is blocked; every access to a
//! column inside a block that falls back to the columns that still exist; the first insert of a transaction guarded, so that a
//! write goes on whatever happened to the outbox; a NOTIFY only while the relay dozes.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::DOZE_LOCK;
use super::watch::{Column, Encoding, Watch};
use crate::change::Operation;

/// The row trigger. Its name sorts before an application's own triggers, which may change the row again.
pub const ROW_TRIGGER: &str = "!instant";
/// The statement trigger for `truncate`.
pub const TRUNCATE_TRIGGER: &str = "!instant_truncate";
/// PostgreSQL cuts longer names.
const MAX_IDENTIFIER: usize = 63;
/// `json_build_object` takes at most 100 arguments, a name and a value for each column.
const COLUMNS_PER_OBJECT: usize = 50;

/// The name of a watch's function, without its schema: `capture_public_shop_order`. Where that would be cut, or might be another
/// watch's name too, it ends in a hash of the source.
#[must_use]
pub fn function_name(watch: &Watch) -> String {
    let plain = format!("capture_{}_{}", watch.schema, watch.table);
    if plain.len() <= MAX_IDENTIFIER && !watch.schema.contains('_') {
        return plain;
    }
    let mut name = plain;
    let mut end = name.len().min(MAX_IDENTIFIER - 9);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.truncate(end);
    let hash = Sha256::digest(format!("{}\0{}", watch.schema, watch.table));
    name.push('_');
    for byte in &hash[..4] {
        // Writing to a String cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
    name
}

/// A name as SQL writes it, quoted.
#[must_use]
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as SQL writes it.
fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if text.contains('\\') {
        format!("e'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

/// The settings of the function, beside its body: `name=value` as `pg_proc.proconfig` has them.
#[must_use]
pub fn settings(watch: &Watch) -> Vec<(&'static str, &'static str)> {
    let mut settings = vec![("search_path", "pg_catalog, pg_temp")];
    if captured(watch).iter().any(|column| column.encoding == Encoding::Pinned) {
        settings.extend([
            ("TimeZone", "UTC"),
            ("IntervalStyle", "iso_8601"),
            ("bytea_output", "hex"),
            ("extra_float_digits", "1"),
        ]);
    }
    settings
}

/// Every captured column, those of the key first.
fn captured(watch: &Watch) -> Vec<&Column> {
    watch.key.iter().chain(&watch.columns).collect()
}

/// A JSON object of `columns`, read from `record`.
fn object(record: &str, columns: &[&Column]) -> String {
    let members: Vec<_> = columns
        .iter()
        .map(|Column { name, encoding }| {
            let cast = match encoding {
                Encoding::Plain | Encoding::Pinned => "",
                Encoding::Decimal => "::text",
                Encoding::Decimals => "::text[]",
            };
            format!("{}, {record}.{}{cast}", literal(name), identifier(name))
        })
        .collect();
    match members
        .chunks(COLUMNS_PER_OBJECT)
        .map(|chunk| format!("json_build_object({})", chunk.join(", ")))
        .collect::<Vec<_>>()
    {
        objects if objects.len() <= 1 => objects.into_iter().next().unwrap_or_else(|| "'{}'::json".to_owned()),
        // Objects are joined as text: json has no operator for it, and jsonb would reorder keys and numbers.
        objects => {
            let joined: Vec<_> = objects
                .iter()
                .map(|object| format!("substr({object}::text, 2, length({object}::text) - 2)"))
                .collect();
            format!("('{{' || {} || '}}')::json", joined.join(" || ', ' || "))
        }
    }
}

/// What still exists of `columns` in `record`, found by name in the whole row.
fn fallback(record: &str, columns: &[&Column]) -> String {
    let list = |columns: Vec<String>| {
        if columns.is_empty() {
            "null".to_owned()
        } else {
            columns.join(", ")
        }
    };
    let names = list(columns.iter().map(|column| literal(&column.name)).collect());
    let decimals = columns.iter().filter(|column| column.encoding == Encoding::Decimal);
    let decimals = list(decimals.map(|column| literal(&column.name)).collect());
    format!(
        "select coalesce(json_object_agg(key, case when key in ({decimals}) then to_json(value #>> '{{}}') else value end), '{{}}'::json)
                from json_each(row_to_json({record})) where key in ({names})"
    )
}

/// The test for an update that changes nothing captured. Records are compared by their images: other comparisons miss a numeric's
/// scale, and some types have none.
fn unchanged(watch: &Watch) -> String {
    if watch.columns.is_empty() {
        return "new operator(pg_catalog.*=) old".to_owned();
    }
    let row = |record: &str| {
        let columns: Vec<_> = captured(watch)
            .iter()
            .map(|column| format!("{record}.{}", identifier(&column.name)))
            .collect();
        format!("row({})::record", columns.join(", "))
    };
    format!("{} operator(pg_catalog.*=) {}", row("new"), row("old"))
}

/// The function's body, exactly as `pg_proc.prosrc` has it.
#[must_use]
pub fn body(watch: &Watch) -> String {
    let unheard: Vec<_> = Operation::ALL
        .into_iter()
        .filter(|operation| !watch.operations.contains(*operation))
        .map(|operation| literal(&operation.name().to_uppercase()))
        .collect();
    let unheard = if unheard.is_empty() {
        String::new()
    } else {
        format!(
            "\n    if tg_op in ({}) then\n        return null;\n    end if;",
            unheard.join(", ")
        )
    };
    format!(
        "
declare
    old_json json;
    new_json json;
    former_timeout text;
    state text := current_setting('instant.tx', true);
begin{unheard}
{read}
{write}
    return null;
end
",
        read = read(watch),
        write = write(&watch.source),
    )
}

/// Counts a change that is given up, as long as there is something to count with.
const COUNT_LOST: &str = "begin
            perform nextval('instant.lost');
        exception when others then
            null;
        end";

/// Turns the row into JSON; whatever happened to its columns, what is left of them is captured.
fn read(watch: &Watch) -> String {
    let captured = captured(watch);
    let former: Vec<_> = watch.old.iter().collect();
    let (former, former_fallback) = if former.is_empty() {
        (String::new(), String::new())
    } else {
        let assign = |value: &str| format!("\n                old_json := {value};");
        let fallback = assign(&format!("({})", fallback("old", &former)));
        (
            assign(&object("old", &former)),
            format!("\n                if tg_op = 'UPDATE' then{fallback}\n                end if;"),
        )
    };
    let old_fallback = fallback("old", &captured);
    // A watch without fields hears every change, so its fallback has nothing to compare.
    let unchanged_fallback = if watch.columns.is_empty() {
        String::new()
    } else {
        format!(
            "\n                if tg_op = 'UPDATE' and new_json::text = ({old_fallback})::text then\n                    return null;\n                end if;"
        )
    };
    format!(
        "    begin
        if tg_op = 'TRUNCATE' then
            null;
        elsif tg_op = 'DELETE' then
            old_json := {old};
        else
            if tg_op = 'UPDATE' then
                if {unchanged} then
                    return null;
                end if;{former}
            end if;
            new_json := {new};
        end if;
    exception when others then
        begin
            if tg_op = 'DELETE' then
                old_json := ({old_fallback});
            else
                new_json := ({new_fallback});{unchanged_fallback}{former_fallback}
            end if;
        exception when others then
            {COUNT_LOST};
            return null;
        end;
    end;
",
        old = object("old", &captured),
        new = object("new", &captured),
        unchanged = unchanged(watch),
        new_fallback = fallback("new", &captured),
    )
}

/// Writes the change. The first insert of a transaction is guarded; once it has succeeded, the transaction holds the outbox's
/// relation lock, and nobody can take the table away. A block a row would burn a transaction id a row.
fn write(source: &str) -> String {
    let insert = format!(
        "insert into instant.outbox (source, op, old, new) values ({}, left(tg_op, 1)::\"char\", old_json, new_json)",
        literal(source)
    );
    format!(
        "    if state = '1' then
        {insert};
        return null;
    elsif state = '0' then
        {COUNT_LOST};
        return null;
    end if;

    begin
        former_timeout := current_setting('lock_timeout');
        perform set_config('lock_timeout', '50ms', true);
        {insert};
        perform set_config('lock_timeout', former_timeout, true);
        if current_setting('max_prepared_transactions') = '0'
            and not pg_try_advisory_xact_lock_shared({DOZE_LOCK})
            and pg_notification_queue_usage() < 0.5
        then
            perform pg_notify('instant', '');
        end if;
        perform set_config('instant.tx', '1', true);
    exception when others then
        {COUNT_LOST};
        perform set_config('instant.tx', '0', true);
        raise warning 'instant: this transaction''s changes of % are not published: %', tg_relid::regclass, sqlerrm;
    end;"
    )
}

/// `create or replace function …`, without a lock on any table.
#[must_use]
pub fn create_function(watch: &Watch) -> String {
    let mut body = body(watch);
    let mut tag = "$instant$".to_owned();
    while body.contains(&tag) {
        tag.insert(1, 'x');
    }
    body = format!("{tag}{body}{tag}");
    let settings: Vec<_> = settings(watch)
        .into_iter()
        .map(|(name, value)| {
            if name == "search_path" {
                format!("set {name} = {value}")
            } else {
                format!("set {name} = '{value}'")
            }
        })
        .collect();
    format!(
        "create or replace function instant.{name}() returns trigger\nlanguage plpgsql security definer {settings}\nas {body};\nrevoke execute on function instant.{name}() from public",
        name = identifier(&function_name(watch)),
        settings = settings.join(" "),
    )
}

/// `create trigger …` on a table, for rows.
#[must_use]
pub fn create_row_trigger(watch: &Watch, table: &str) -> String {
    format!(
        "create trigger {} after insert or update or delete on {table} for each row execute function instant.{}()",
        identifier(ROW_TRIGGER),
        identifier(&function_name(watch))
    )
}

/// `create trigger …` on a table, for `truncate`.
#[must_use]
pub fn create_truncate_trigger(watch: &Watch, table: &str) -> String {
    format!(
        "create trigger {} after truncate on {table} for each statement execute function instant.{}()",
        identifier(TRUNCATE_TRIGGER),
        identifier(&function_name(watch))
    )
}
