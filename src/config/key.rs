//! The keys of the file and the values they take. The parser refuses all others, and the schema for editors is generated from the
//! same tables.

/// The keys of a table.
#[derive(Debug)]
pub(super) struct Keys {
    /// The table's name in messages, such as `[database]`; empty for the whole file.
    pub(super) name: &'static str,
    /// Its keys.
    pub(super) entries: &'static [Key],
    /// The value of any other key, if users may choose names of their own.
    pub(super) others: Option<Kind>,
    /// Keys of which at least one is required.
    pub(super) one_of: &'static [&'static str],
}

/// A key.
#[derive(Debug)]
pub(super) struct Key {
    /// Its name.
    pub(super) name: &'static str,
    /// The value it takes.
    pub(super) kind: Kind,
    /// Whether it is required.
    pub(super) required: bool,
}

/// The kind of value that a key takes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// A string.
    Text,
    /// One of these strings.
    Words(&'static [&'static str]),
    /// A duration, as a string.
    Duration,
    /// A boolean.
    Boolean,
    /// An integer of at least one.
    Positive,
    /// A list of strings.
    Texts,
    /// A string or a list of strings.
    OneOrMore,
    /// One of these strings, or a list of them.
    OneOrMoreWords(&'static [&'static str]),
    /// A table.
    Table(&'static Keys),
    /// A list of tables.
    Tables(&'static Keys),
    /// Any of these.
    Any(&'static [Kind]),
}

impl Keys {
    /// Creates a table that accepts only these keys.
    pub(super) const fn new(name: &'static str, entries: &'static [Key]) -> Self {
        Self {
            name,
            entries,
            others: None,
            one_of: &[],
        }
    }

    /// Iterates over the names of its keys.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> + Clone {
        self.entries.iter().map(|key| key.name)
    }

    /// Returns whether a key of this name is accepted.
    pub(super) fn accepts(&self, name: &str) -> bool {
        self.others.is_some() || self.names().any(|known| known == name)
    }
}

impl Key {
    /// Creates an optional key.
    pub(super) const fn new(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            kind,
            required: false,
        }
    }

    /// Creates a required key.
    pub(super) const fn required(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            kind,
            required: true,
        }
    }
}
