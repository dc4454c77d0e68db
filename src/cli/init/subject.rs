//! A model or table that may be watched, and what is proposed for it.

use std::fmt::Write as _;

/// Parts of the names of columns that should not be published by accident.
const SECRET: [&str; 21] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "hash",
    "salt",
    "signature",
    "api_key",
    "apikey",
    "private_key",
    "session_key",
    "credential",
    "otp",
    "pin_code",
    "ssn",
    "iban",
    "card_number",
    "cvv",
    "cvc",
    "recovery",
];

/// A column or field.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) name: String,
    /// Whether it belongs to the primary key, which every event carries.
    pub(super) is_key: bool,
    /// Whether it is left out: its values are of no use in a browser, too large for one, or secret by its name.
    pub(super) is_hidden: bool,
    /// Whether it leads to the users.
    pub(super) is_user: bool,
}

/// A model or table.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    /// How a watch names it: `model = "shop.Order"`.
    pub(super) place: String,
    pub(super) name: String,
    pub(super) fields: Vec<Field>,
    /// The models whose tables hold the fields that it inherits.
    pub(super) parents: Vec<String>,
    /// Its many-to-many relations, as a watch names them.
    pub(super) links: Vec<String>,
}

impl Subject {
    /// Whether a file mentions it already, in a watch or in a comment.
    pub(super) fn is_in(&self, text: &str) -> bool {
        text.lines()
            .any(|line| line.trim_start_matches(['#', ' ', '\t']).starts_with(&self.place))
    }

    /// The proposed watch, as a comment.
    pub(super) fn proposal(&self) -> String {
        let (hidden, shown): (Vec<_>, Vec<_>) = self
            .fields
            .iter()
            .filter(|field| !field.is_key)
            .partition(|field| field.is_hidden);
        let mut lines = vec!["[[watch]]".to_owned(), self.place.clone()];
        let names: Vec<String> = shown.iter().map(|field| quoted(&field.name)).collect();
        lines.push(format!("fields = [{}]", names.join(", ")));
        if !hidden.is_empty() {
            let names: Vec<_> = hidden.iter().map(|field| field.name.as_str()).collect();
            lines.push(format!("# left out, and never captured: {}", names.join(", ")));
        }
        if !self.parents.is_empty() {
            let parents = self.parents.join(" and ");
            lines.push(format!(
                "# what it inherits from {parents} is not in this table: watch that too"
            ));
        }
        lines.push(String::new());
        lines.push("  [[watch.rule]]".to_owned());
        lines.push("  target = \"staff\"".to_owned());
        for field in shown.iter().filter(|field| field.is_user) {
            lines.push(String::new());
            lines.push("  [[watch.rule]]".to_owned());
            lines.push(format!("  target = {{ user = {} }}", quoted(&field.name)));
        }
        for link in &self.links {
            lines.push(String::new());
            lines.push("[[watch]]".to_owned());
            lines.push(link.clone());
            lines.push(String::new());
            lines.push("  [[watch.rule]]".to_owned());
            lines.push("  target = \"staff\"".to_owned());
        }
        let mut text = String::new();
        for line in lines {
            // Writing to a String cannot fail.
            let _ = if line.is_empty() {
                writeln!(text, "#")
            } else {
                writeln!(text, "# {line}")
            };
        }
        text
    }
}

/// Whether a name looks like that of a secret.
pub(super) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET.iter().any(|part| name.contains(part))
}

/// A TOML string.
pub(super) fn quoted(name: &str) -> String {
    let mut text = String::from("\"");
    for character in name.chars() {
        match character {
            '"' | '\\' => text.extend(['\\', character]),
            character if character.is_control() => {
                let _ = write!(text, "\\u{:04x}", u32::from(character));
            }
            character => text.push(character),
        }
    }
    text.push('"');
    text
}
