//! The SQL expressions that turn a version of the row into JSON.

use crate::capture::identifier::{identifier, literal};
use crate::capture::watch::{Column, Encoding};

/// The most columns of one `json_build_object`: a call takes 100 arguments, two per column.
const COLUMNS_PER_CALL: usize = 50;

/// Returns the condition that an update left all of `columns` unchanged, bit for bit, so that 1.0 differs from 1.00, and json, xml and
/// point can be compared at all. Without columns, it compares the whole record.
pub(super) fn unchanged(columns: &[&Column]) -> String {
    if columns.is_empty() {
        return "new operator(pg_catalog.*=) old".to_owned();
    }
    // Without `::record` the parser would look for the operator column by column.
    let row = |record: &str| format!("row({})::record", list(columns, |column| member(record, column)));
    format!("{} operator(pg_catalog.*=) {}", row("new"), row("old"))
}

/// Returns the expression of an object of `columns` of `record`. More columns than one call takes are built in parts and joined as text,
/// which keeps every digit.
pub(super) fn object(record: &str, columns: &[&Column]) -> String {
    let parts: Vec<String> = columns
        .chunks(COLUMNS_PER_CALL)
        .map(|chunk| format!("json_build_object({})", list(chunk, |column| pair(record, column))))
        .collect();
    match parts.as_slice() {
        [] => "json_build_object()".to_owned(),
        [part] => part.clone(),
        [first, middle @ .., last] => {
            let middle: Vec<String> = middle
                .iter()
                .map(|part| format!("\n                || ', ' || substr(left({part}::text, -1), 2)"))
                .collect();
            format!(
                "(left({first}::text, -1){}\n                || ', ' || substr({last}::text, 2))::json",
                middle.concat()
            )
        }
    }
}

/// Returns the expression of an object of those of `columns` that `record` still has, for when naming one of them raised: it turns the
/// whole record into JSON and selects from that. Null if the operation has no such record.
pub(super) fn remaining(record: &str, columns: &[&Column]) -> String {
    let without = if record == "new" { "DELETE" } else { "INSERT" };
    let present = format!("case when tg_op <> '{without}' then ");
    if columns.is_empty() {
        return format!("{present}'{{}}'::json end");
    }
    let names = |encoding| {
        let names: Vec<String> = columns
            .iter()
            .filter(|column| column.encoding == encoding)
            .map(|column| literal(&column.name))
            .collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    let decimal = names(Encoding::Decimal)
        .map(|names| format!("when field.key in ({names}) then to_json(field.value #>> '{{}}') "))
        .unwrap_or_default();
    let decimals = names(Encoding::Decimals)
        .map(|names| {
            format!(
                "when field.key in ({names}) and json_typeof(field.value) = 'array' then \
                 coalesce((select json_agg(item.value #>> '{{}}') from json_array_elements(field.value) as item), '[]') "
            )
        })
        .unwrap_or_default();
    let value = if decimal.is_empty() && decimals.is_empty() {
        "field.value".to_owned()
    } else {
        format!("case {decimal}{decimals}else field.value end")
    };
    let keys = list(columns, |column| literal(&column.name));
    format!(
        "{present}coalesce((\n                select json_object_agg(field.key, {value})\n                \
         from json_each(row_to_json({record})) as field\n                where field.key in ({keys})), '{{}}') end"
    )
}

/// Returns `'name', value` of a column.
fn pair(record: &str, column: &Column) -> String {
    let value = member(record, column);
    format!("{}, {value}{}", literal(&column.name), column.encoding.cast())
}

/// Returns `record."column"`.
fn member(record: &str, column: &Column) -> String {
    format!("{record}.{}", identifier(&column.name))
}

/// Returns `columns` as a comma-separated list.
fn list(columns: &[&Column], part: impl Fn(&Column) -> String) -> String {
    columns.iter().map(|column| part(column)).collect::<Vec<_>>().join(", ")
}
