//! JSON objects, written as they are sent. As in Centrifugo, empty, zero and false values are left out.

use bytes::Bytes;

/// An object that is being written.
#[derive(Debug)]
pub struct Object<'a> {
    out: &'a mut Vec<u8>,
    is_empty: bool,
}

/// Returns the bytes of an object.
pub fn object(write: impl FnOnce(&mut Object<'_>)) -> Bytes {
    let mut out = Vec::with_capacity(128);
    Object::write(&mut out, write);
    out.into()
}

impl Object<'_> {
    fn write(out: &mut Vec<u8>, write: impl FnOnce(&mut Object<'_>)) {
        out.push(b'{');
        let mut object = Object { out, is_empty: true };
        write(&mut object);
        object.out.push(b'}');
    }

    /// Writes a string, unless it is empty.
    pub fn text(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            self.key(key);
            self.string(value);
        }
    }

    /// Writes a number, unless it is zero.
    pub fn number(&mut self, key: &str, value: u64) {
        if value > 0 {
            self.key(key);
            self.out.extend_from_slice(value.to_string().as_bytes());
        }
    }

    /// Writes a number, even zero.
    pub fn count(&mut self, key: &str, value: u64) {
        self.raw(key, value.to_string().as_bytes());
    }

    /// Writes a flag, if it is true.
    pub fn flag(&mut self, key: &str, value: bool) {
        if value {
            self.raw(key, b"true");
        }
    }

    /// Writes a value that is JSON already, without line feeds, which separate messages, and carriage returns, which end a line of an event
    /// stream. In JSON, both occur only between tokens.
    pub fn raw(&mut self, key: &str, value: &[u8]) {
        self.key(key);
        if value.contains(&b'\n') || value.contains(&b'\r') {
            self.out.extend(value.iter().filter(|byte| !matches!(**byte, b'\n' | b'\r')));
        } else {
            self.out.extend_from_slice(value);
        }
    }

    /// Writes an object.
    pub fn object(&mut self, key: &str, write: impl FnOnce(&mut Object<'_>)) {
        self.key(key);
        Object::write(self.out, write);
    }

    /// Writes a list of values that are JSON already, even an empty one.
    pub fn list<'b>(&mut self, key: &str, values: impl IntoIterator<Item = &'b Bytes>) {
        self.key(key);
        self.out.push(b'[');
        for (at, value) in values.into_iter().enumerate() {
            if at > 0 {
                self.out.push(b',');
            }
            self.out.extend_from_slice(value);
        }
        self.out.push(b']');
    }

    /// Returns the position of the next byte.
    pub(super) fn place(&self) -> usize {
        self.out.len()
    }

    fn key(&mut self, key: &str) {
        if !std::mem::take(&mut self.is_empty) {
            self.out.push(b',');
        }
        self.string(key);
        self.out.push(b':');
    }

    fn string(&mut self, value: &str) {
        // Writing to a Vec cannot fail, and a string always has a JSON form.
        let _ = serde_json::to_writer(&mut *self.out, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_values_are_left_out_and_so_are_the_line_breaks_in_values() {
        let written = object(|object| {
            object.text("none", "");
            object.number("zero", 0);
            object.flag("no", false);
            object.text("a\"b", "c\nd");
            object.object("inner", |inner| inner.number("n", 7));
            object.raw("data", b"{\n \"x\": 1\n}");
            object.raw("old", b"[\r\"a\\r\",\r\n 1]");
            object.list("list", &[Bytes::from_static(b"1"), Bytes::from_static(b"2")]);
        });
        assert_eq!(
            written,
            r#"{"a\"b":"c\nd","inner":{"n":7},"data":{ "x": 1},"old":["a\r", 1],"list":[1,2]}"#
        );
    }
}
