//! The event: the JSON object that a browser gets.

use std::fmt::Display;
use std::io::Write;

use super::Origin;
use super::collapse::Group;
use super::related::Branches;
use super::row::Row;

/// The parts of an event that its rule fixes, as JSON already.
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
        let member = |name: &str, value: &str| {
            let mut json = format!(",\"{name}\":").into_bytes();
            write_string(&mut json, value);
            json
        };
        let key = |column: &String| {
            let mut json = Vec::new();
            write_string(&mut json, column);
            json.push(b':');
            (column.clone(), json)
        };
        Self {
            site: site.map(|site| member("site", site)).unwrap_or_default(),
            model: member("model", model),
            data: data.iter().map(key).collect(),
            related,
        }
    }

    /// Encodes one event. Columns that no longer exist are left out of `data`; of a row that left, all are.
    pub(super) fn encode(&self, origin: &Origin, event_class: &str, message: &str, channel: &str, row: &Row<'_>) -> Vec<u8> {
        let mut out = self.head(event_class, message, channel);
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
        self.tail(&mut out, origin, origin);
        row.write_pk(&mut out);
        out.push(b'}');
        out
    }

    /// Encodes the one event of many changes: no data, their number, and their keys where these are not too many.
    pub(super) fn encode_group(&self, id: &str, group: &Group, message: &str) -> Vec<u8> {
        let mut out = self.head(&group.event_class, message, &group.channel);
        self.tail(&mut out, &id, &group.origin);
        // Writing to a Vec cannot fail.
        let _ = write!(out, "null,\"count\":{},\"keys\":", group.count);
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

    /// All before the data.
    fn head(&self, event_class: &str, message: &str, channel: &str) -> Vec<u8> {
        let mut out = Vec::with_capacity(384);
        out.extend_from_slice(b"{\"event_class\":");
        write_string(&mut out, event_class);
        out.extend_from_slice(b",\"message\":");
        write_string(&mut out, message);
        out.extend_from_slice(b",\"channel\":");
        write_string(&mut out, channel);
        out.extend_from_slice(&self.site);
        out.extend_from_slice(b",\"data\":{");
        out
    }

    /// All between the data and the key.
    fn tail(&self, out: &mut Vec<u8>, id: &dyn Display, origin: &Origin) {
        // Writing to a Vec cannot fail.
        let _ = write!(out, "}},\"id\":\"{id}\",\"at\":\"{:.3}\"", origin.at);
        out.extend_from_slice(&self.model);
        let _ = write!(out, ",\"op\":\"{}\",\"pk\":", origin.what());
    }
}

/// Appends `text` as a JSON string.
pub(super) fn write_string(out: &mut Vec<u8>, text: &str) {
    // A string always has a JSON form, and writing to a Vec cannot fail.
    let _ = serde_json::to_writer(out, text);
}
