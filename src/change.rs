//! A change: one inserted, updated or deleted row, as recorded in the outbox.

use jiff::Timestamp;

/// A change, borrowed from the outbox row that it was read from.
#[derive(Clone, Copy, Debug, Hash)]
pub struct Change<'a> {
    /// The number in the outbox. Ids order the changes of one row.
    pub id: i64,
    /// When the row was written, to the microsecond. Only together with `id` is it unique: after a crash, ids can be reused.
    pub at: Timestamp,
    /// The watch that captured it, as named by its trigger.
    pub source: &'a str,
    /// What happened.
    pub operation: Operation,
    /// The captured columns before the change, a flat JSON object.
    pub old: Option<&'a str>,
    /// The captured columns after the change, a flat JSON object.
    pub new: Option<&'a str>,
}

impl Change<'_> {
    /// Returns the size of its columns, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.old.map_or(0, str::len) + self.new.map_or(0, str::len)
    }
}

/// What happened to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A row was inserted.
    Insert,
    /// A row was updated.
    Update,
    /// A row was deleted.
    Delete,
    /// The table was emptied by `truncate`.
    Truncate,
    /// No row changed: a message was sent with `instant.broadcast`.
    Broadcast,
}

impl Operation {
    /// Every operation of a table.
    pub const ALL: [Self; 4] = [Self::Insert, Self::Update, Self::Delete, Self::Truncate];

    /// Returns the name in TOML, events and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Truncate => "truncate",
            Self::Broadcast => "broadcast",
        }
    }

    /// Returns the past participle used in event classes, after Django's terms.
    #[must_use]
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Insert => "created",
            Self::Update => "edited",
            Self::Delete => "deleted",
            Self::Truncate => "truncated",
            Self::Broadcast => "sent",
        }
    }

    /// Returns its letter in the outbox's column `op`.
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            Self::Insert => 'I',
            Self::Update => 'U',
            Self::Delete => 'D',
            Self::Truncate => 'T',
            Self::Broadcast => 'B',
        }
    }

    /// Returns the operation with this letter in the outbox's column `op`.
    #[must_use]
    pub fn from_letter(letter: char) -> Option<Self> {
        let mut known = Self::ALL.into_iter().chain([Self::Broadcast]);
        known.find(|operation| operation.letter() == letter)
    }
}

/// A set of operations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Operations(u8);

impl Operations {
    /// The empty set.
    pub const NONE: Self = Self(0);
    /// The operations of a rule without `on`: insert, update and delete.
    pub const ROWS: Self = Self(0b0111);

    /// Returns the set with `operation` added.
    #[must_use]
    pub const fn with(self, operation: Operation) -> Self {
        Self(self.0 | 1 << operation as u8)
    }

    /// Returns the union of both sets.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns whether `operation` is in the set.
    #[must_use]
    pub const fn contains(self, operation: Operation) -> bool {
        self.0 & (1 << operation as u8) != 0
    }

    /// Iterates over the operations of the set, in the order of [`Operation::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Operation> {
        Operation::ALL.into_iter().filter(move |operation| self.contains(*operation))
    }
}
