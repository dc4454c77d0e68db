//! The keys of the file: what each is called and what it takes. The parser refuses any other, and the editors' schema is made of
//! the same tables.

/// The keys of a table.
#[derive(Debug)]
pub(super) struct Keys {
    /// What the table is called in messages, such as `[database]`; empty for the whole file.
    pub(super) name: &'static str,
    /// Its keys.
    pub(super) entries: &'static [Key],
    /// What stands under any other key, where those are names of the user's.
    pub(super) others: Option<Kind>,
    /// Keys of which at least one must be there.
    pub(super) one_of: &'static [&'static str],
}

/// A key.
#[derive(Debug)]
pub(super) struct Key {
    /// Its name.
    pub(super) name: &'static str,
    /// What it takes.
    pub(super) kind: Kind,
    /// Whether it must be there.
    pub(super) required: bool,
}

/// What a key takes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// A string.
    Text,
    /// One of these strings.
    Words(&'static [&'static str]),
    /// A string that is a duration.
    Duration,
    /// True or false.
    Boolean,
    /// A whole number of at least one.
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
    /// A table of these keys alone.
    pub(super) const fn new(name: &'static str, entries: &'static [Key]) -> Self {
        Self {
            name,
            entries,
            others: None,
            one_of: &[],
        }
    }

    /// The keys' names.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> + Clone {
        self.entries.iter().map(|key| key.name)
    }

    /// Whether a key of this name may be there.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.others.is_some() || self.names().any(|known| known == name)
    }
}

impl Key {
    /// A key that may be left out.
    pub(super) const fn new(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            kind,
            required: false,
        }
    }

    /// A key that must be there.
    pub(super) const fn required(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            kind,
            required: true,
        }
    }
}
