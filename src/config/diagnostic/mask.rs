//! Masks secrets in excerpts.
//!
//! Masking works on lines, not on parsed values, so that it also holds in a file that does not parse. It errs on the side of
//! masking: outside of the tables that contain no secrets, only text that is known to be harmless is shown.

use std::ops::Range;

/// The replacement of a secret, whatever its length.
const MASK: &str = "***";
/// The first components of key paths that contain no secrets.
const OPEN: [&str; 6] = ["site", "server", "outbox", "channels", "related", "watch"];
/// Other keys that are shown, but without the text after them.
const NAMES: [&str; 16] = [
    "database",
    "centrifugo",
    "django",
    "url",
    "api_key",
    "token_secret",
    "relay_role",
    "secret_key",
    "secret_key_fallbacks",
    "session_cookie",
    "session_engine",
    "session_cookie_age",
    "user_model",
    "user_table",
    "site",
    "watch",
];
/// Parts of keys whose values are masked even in an open table, in case a header is missing or misspelt.
const SUSPICIOUS: [&str; 6] = ["url", "key", "secret", "password", "token", "dsn"];

/// A text whose secrets are masked.
#[derive(Debug)]
pub(super) struct Masked {
    /// The text to show.
    pub(super) text: String,
    /// Byte ranges of the original text, each of which became [`MASK`].
    hidden: Vec<Range<usize>>,
}

impl Masked {
    /// Masks the text of a configuration file.
    pub(super) fn new(original: &str) -> Self {
        let mut text = String::with_capacity(original.len());
        let mut hidden = Vec::new();
        let mut open = None;
        let mut start = 0;
        for line in original.split_inclusive('\n') {
            let content = line.trim_end_matches(['\n', '\r']);
            if let Some(section) = section(content) {
                open = Some(OPEN.contains(&section));
            }
            let mut shown = 0;
            for range in secrets(content, open) {
                text.push_str(&line[shown..range.start]);
                text.push_str(MASK);
                shown = range.end;
                hidden.push(start + range.start..start + range.end);
            }
            text.push_str(&line[shown..]);
            start += line.len();
        }
        Self { text, hidden }
    }

    /// Returns the location in the masked text of `span` in the original, truncated to its first line and to whole characters.
    pub(super) fn locate(&self, span: &Range<usize>) -> Range<usize> {
        let start = self.offset(span.start);
        let end = self.offset(span.end).max(start);
        let line = self.text[start..]
            .find(['\n', '\r'])
            .map_or(self.text.len(), |length| start + length);
        start..end.min(line)
    }

    fn offset(&self, original: usize) -> usize {
        let mut shifted = original;
        for range in &self.hidden {
            if original >= range.end {
                shifted = shifted + MASK.len() - range.len();
            } else if original > range.start {
                // Inside the secret: its beginning, plus at most the mask.
                shifted = shifted - (original - range.start) + MASK.len().min(original - range.start);
                break;
            } else {
                break;
            }
        }
        let mut offset = shifted.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    }
}

/// Returns the first component of a header's path. Any line that begins like a header counts, so that a broken header ends the
/// previous table.
fn section(line: &str) -> Option<&str> {
    let path = line.trim_start().strip_prefix('[')?.trim_start_matches(['[', ' ', '\t']);
    Some(path.split(['.', ']', ' ', '\t']).next().unwrap_or_default())
}

/// Returns the byte ranges of a line that may hold a secret; `open` is whether its table is open, `None` before the first header.
fn secrets(line: &str, open: Option<bool>) -> Vec<Range<usize>> {
    let indent = line.len() - line.trim_start().len();
    let body = &line[indent..];
    if body.is_empty() {
        return Vec::new();
    }
    if body.starts_with('[') {
        return if open == Some(true) && !looks_secret("", body) {
            Vec::new()
        } else {
            tail(line, indent + header(body))
        };
    }
    let key = body.find(['=', ':', ' ', '\t']).map_or(body, |end| &body[..end]);
    let first = key.split('.').next().unwrap_or_default();
    if open.unwrap_or_else(|| OPEN.contains(&first)) && !looks_secret(key, body) {
        return Vec::new();
    }
    let after = indent + key.len();
    let value = line[after..].trim_start();
    match value.strip_prefix('=').map(str::trim_start) {
        Some(value) if is_bare(key) && !value.is_empty() && !value.starts_with('=') => {
            let start = line.len() - value.len();
            reference(value).map_or_else(|| tail(line, start), |shown| hide_around(line, start, shown))
        }
        _ if NAMES.contains(&key) => tail(line, after),
        _ => tail(line, indent),
    }
}

/// Returns how many bytes of a header line are shown: a whole header, or the beginning of one that names a known table.
fn header(body: &str) -> usize {
    let name = body
        .bytes()
        .take_while(|byte| byte.is_ascii_alphanumeric() || b"[ _-.".contains(byte))
        .count();
    let closing = body[name..].bytes().take_while(|byte| *byte == b']').count();
    let known = section(body).is_some_and(|section| NAMES.contains(&section));
    if closing > 0 || known { name + closing } else { 1 }
}

/// Returns whether a line of an open table looks like a secret nevertheless.
fn looks_secret(key: &str, body: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let has_key = body.contains('=') && SUSPICIOUS.iter().any(|part| key.contains(part));
    let has_url = body.contains("postgres") || (body.contains("//") && body.contains('@'));
    has_key || has_url || body.contains("api_key") || body.contains("password=")
}

fn is_bare(key: &str) -> bool {
    (1..=40).contains(&key.len())
        && key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}

/// Returns the end of the name and the end of a value that begins with `"${NAME}"` or `"${NAME:-default}"`, quotes included.
fn reference(value: &str) -> Option<(usize, usize)> {
    let quote = value.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    let name = value[1..].strip_prefix("${")?;
    let length = name
        .bytes()
        .take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
        .count();
    let rest = &name[length..];
    let shown = 3 + length;
    if rest.strip_prefix('}').is_some_and(|rest| rest.starts_with(quote)) {
        return Some((shown + 2, shown + 2));
    }
    let end = rest.strip_prefix(":-")?.find(quote)?;
    Some((shown + 2, shown + 2 + end + 1)).filter(|(_, end)| value[..end - 1].ends_with('}'))
}

/// Returns the ranges of the default of a reference and of the text after it.
fn hide_around(line: &str, start: usize, (name, end): (usize, usize)) -> Vec<Range<usize>> {
    let default = start + name..start + end.saturating_sub(2).max(name);
    let mut ranges = if default.is_empty() { Vec::new() } else { vec![default] };
    ranges.extend(tail(line, start + end));
    ranges
}

/// Returns the range from `start` to the end of the line, unless it is blank.
fn tail(line: &str, start: usize) -> Vec<Range<usize>> {
    let end = line.trim_end().len();
    let start = start + line[start..].len() - line[start..].trim_start().len();
    (start < end).then_some(start..end).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_and_harmless_lines_are_shown() {
        let text = r#"site = "Shop"
secret = "hunter2"
database.url = "postgres://a:hunter2@b"
centrifugo = { api_key = "hunter2" }
[database] # hunter2
url = "postgres://a:hunter2@b"
url = "${DATABASE_URL}" # hunter2
  url = "${DATABASE_URL:-postgres://a:hunter2@b}"
url = "${DATABASE_URL}hunter2"
url = '${DATABASE_URL:-hunter2}'
url "hunter2"
url: "hunter2"
hunter2
"hunter2" = 1
hunter2==
url = """
hunter2"""
[centrifugo
api_key = hunter2
[[watch]]
model = "shop.Order"
fields = ["a"]
url = "postgres://a:hunter2@b"
message = "see https://example.org"
x = "postgres://a:hunter2@b"
[centrifuge]
apikey = "hunter2"
"#;
        let masked = Masked::new(text).text;
        assert!(!masked.contains("hunter2"), "{masked}");
        insta::assert_snapshot!(masked);
    }

    #[test]
    fn locations_follow_the_masking() {
        let text = "[database]\nurl = \"hunter2-hunter2\"\n[[watch]]\nx = 1\n";
        let masked = Masked::new(text);
        let at = |part: &str| text.find(part).map(|start| start..start + part.len()).unwrap();
        assert_eq!(&masked.text[masked.locate(&at("url"))], "url");
        assert_eq!(&masked.text[masked.locate(&at("\"hunter2-hunter2\""))], "***");
        assert_eq!(&masked.text[masked.locate(&at("x = 1"))], "x = 1");
        assert_eq!(&masked.text[masked.locate(&(text.len()..text.len()))], "");
    }
}
