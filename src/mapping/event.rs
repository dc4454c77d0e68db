//! The event: the JSON object that a browser receives. Its members are always in this order: [`head`], the data, [`tail`], and the keys of
//! rows.

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;

use super::Origin;
use super::collapse::Group;
use super::related::Branches;
use super::row::Row;

/// Times with milliseconds, the precision of browsers.
const TIMES: DateTimePrinter = DateTimePrinter::new().precision(Some(3));

/// The parts of an event that its rule determines, as JSON already.
#[derive(Debug)]
pub(super) struct Frame {
    /// `,"site":"Shop"`, or nothing.
    site: Vec<u8>,
    /// `,"model":"shop.Order"`.
    model: Vec<u8>,
    /// The published columns and their JSON keys: `"status":`.
    data: Vec<(String, Vec<u8>)>,
    /// The published columns of other tables.
    related: Branches,
}

impl Frame {
    pub(super) fn new(site: Option<&str>, model: &str, data: &[String], related: Branches) -> Self {
        let key = |column: &String| {
            let mut json = Vec::new();
            write_string(&mut json, column);
            json.push(b':');
            (column.clone(), json)
        };
        Self {
            site: site_member(site),
            model: member("model", model),
            data: data.iter().map(key).collect(),
            related,
        }
    }

    /// Encodes an event. Columns that no longer exist are left out of `data`; for a row that left its audience, all are.
    pub(super) fn encode(&self, origin: &Origin, event_class: &str, message: &str, channel: &str, row: &Row<'_>) -> Vec<u8> {
        let mut out = head(event_class, message, channel, &self.site);
        out.extend_from_slice(b",\"data\":{");
        let mut separate = false;
        for (column, key) in self.data.iter().filter(|_| !origin.left) {
            if let Some(value) = row.current.get(column) {
                if separate {
                    out.push(b',');
                }
                separate = true;
                out.extend_from_slice(key);
                out.extend_from_slice(value.get().as_bytes());
            }
        }
        if !origin.left {
            self.related.write(&mut out, row.related, &row.current, separate);
        }
        out.push(b'}');
        tail(&mut out, |out| origin.write_key(out), origin.at, &self.model, origin.what());
        out.extend_from_slice(b",\"pk\":");
        row.write_pk(&mut out);
        out.push(b'}');
        out
    }

    /// Encodes the event of many changes: no data, their number, and their keys unless there are too many.
    pub(super) fn encode_group(&self, id: &str, group: &Group, message: &str) -> Vec<u8> {
        let mut out = head(&group.event_class, message, &group.channel, &self.site);
        out.extend_from_slice(b",\"data\":{}");
        let write_id = |out: &mut Vec<u8>| out.extend_from_slice(id.as_bytes());
        tail(&mut out, write_id, group.origin.at, &self.model, group.origin.what());
        out.extend_from_slice(b",\"pk\":null,\"count\":");
        write_number(&mut out, group.count);
        out.extend_from_slice(b",\"keys\":");
        match group.keys() {
            Some(keys) => {
                out.push(b'[');
                out.extend_from_slice(keys);
                out.push(b']');
            }
            None => out.extend_from_slice(b"null"),
        }
        out.push(b'}');
        out
    }
}

/// Begins an event: everything before the member of the data; `site` is a [`site_member`].
pub(super) fn head(event_class: &str, message: &str, channel: &str, site: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(384);
    out.extend_from_slice(b"{\"event_class\":");
    write_string(&mut out, event_class);
    out.extend_from_slice(b",\"message\":");
    write_string(&mut out, message);
    out.extend_from_slice(b",\"channel\":");
    write_string(&mut out, channel);
    out.extend_from_slice(site);
    out
}

/// Appends the members after the data: the event's ID, its time, `model` (a member, or nothing), and the operation.
pub(super) fn tail(out: &mut Vec<u8>, write_id: impl FnOnce(&mut Vec<u8>), at: Timestamp, model: &[u8], op: &str) {
    out.extend_from_slice(b",\"id\":\"");
    write_id(out);
    out.extend_from_slice(b"\",\"at\":\"");
    write_time(out, at);
    out.push(b'"');
    out.extend_from_slice(model);
    out.extend_from_slice(b",\"op\":\"");
    out.extend_from_slice(op.as_bytes());
    out.push(b'"');
}

/// Returns `,"site":"Shop"`, or nothing.
pub(super) fn site_member(site: Option<&str>) -> Vec<u8> {
    site.map(|site| member("site", site)).unwrap_or_default()
}

/// Returns a string as a member that is not the first: `,"name":"value"`.
pub(super) fn member(name: &str, value: &str) -> Vec<u8> {
    let mut json = format!(",\"{name}\":").into_bytes();
    write_string(&mut json, value);
    json
}

/// Appends a time, to the millisecond.
fn write_time(out: &mut Vec<u8>, at: Timestamp) {
    // Every timestamp has this form, and writing to a Vec cannot fail.
    let _ = TIMES.print_timestamp(&at, out);
}

/// Appends a number in decimal digits.
pub(super) fn write_number(out: &mut Vec<u8>, number: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends a number in hexadecimal digits.
pub(super) fn write_hex(out: &mut Vec<u8>, number: u64) {
    let digits = (u64::BITS - number.leading_zeros()).div_ceil(4).max(1);
    for place in (0..digits).rev() {
        let digit = (number >> (4 * place)) & 0xf;
        out.push(b"0123456789abcdef"[digit as usize]);
    }
}

/// Appends `text` as a JSON string.
pub(super) fn write_string(out: &mut Vec<u8>, text: &str) {
    // A string always has a JSON form, and writing to a Vec cannot fail.
    let _ = serde_json::to_writer(out, text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_written_as_the_standard_library_and_jiff_write_them() {
        for number in [0, 1, 9, 10, 15, 16, 255, 256, 6_610_473_297_240, i64::MAX, i64::MIN, -1] {
            let mut out = Vec::new();
            write_number(&mut out, number);
            out.push(b' ');
            write_hex(&mut out, number.cast_unsigned());
            assert_eq!(String::from_utf8(out).unwrap(), format!("{number} {number:x}"));
        }
        for microsecond in [0, 999, 1_795_521_600_123_999, -1] {
            let at = Timestamp::from_microsecond(microsecond).unwrap();
            let mut out = Vec::new();
            write_time(&mut out, at);
            assert_eq!(String::from_utf8(out).unwrap(), format!("{at:.3}"));
        }
    }
}
