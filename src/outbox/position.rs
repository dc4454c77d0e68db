//! How far the outbox is settled.

use std::fmt;
use std::sync::Arc;

use super::session::Error;

/// A `pg_snapshot`: the transactions that were visible at a moment, as `xmin:xmax:xip,…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot(Arc<str>);

/// A position of the cursor: everything visible in `snapshot` is settled, and the settled part of the next window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The start of the next window.
    pub snapshot: Snapshot,
    /// The partly settled window, if there is one.
    pub within: Option<Within>,
}

/// A window that is settled up to one of its changes, so that a restart continues inside a giant one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Within {
    /// The end of the window.
    pub until: Snapshot,
    /// The id of its last settled change.
    pub after: i64,
}

/// The bounds of the transactions at the end of a window.
#[derive(Debug)]
pub(super) struct Transactions {
    /// All with smaller numbers have ended.
    pub(super) ended: u64,
    /// No transaction with this number or a larger one had begun.
    pub(super) begun: u64,
}

impl Snapshot {
    /// Takes PostgreSQL's text. Only digits and separators are accepted, so that it can be part of a statement as it is.
    pub(super) fn new(text: &str) -> Result<Self, Error> {
        let valid = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b','));
        valid.then(|| Self(text.into())).ok_or(Error::Protocol("no pg_snapshot"))
    }

    /// The transactions at its time, when `ahead` of them had numbers from its xmax on.
    pub(super) fn transactions(&self, ahead: i32) -> Option<Transactions> {
        let (xmin, xmax) = self.bounds()?;
        Some(Transactions {
            ended: xmin,
            begun: xmax + u64::from(ahead.unsigned_abs()),
        })
    }

    /// Its xmin and its xmax: all transactions below the one have ended, and none from the other on was visible.
    fn bounds(&self) -> Option<(u64, u64)> {
        let mut parts = self.0.split(':').map(str::parse);
        Some((parts.next()?.ok()?, parts.next()?.ok()?))
    }

    /// PostgreSQL's text.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Position {
    /// The position at the end of a window.
    #[must_use]
    pub const fn at(snapshot: Snapshot) -> Self {
        Self { snapshot, within: None }
    }

    /// The position after the change `after` of the window that ends at `until`.
    #[must_use]
    pub const fn inside(snapshot: Snapshot, until: Snapshot, after: i64) -> Self {
        Self {
            snapshot,
            within: Some(Within { until, after }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_has_bounds() {
        assert_eq!(Snapshot::new("10:20:10,14,15").unwrap().bounds(), Some((10, 20)));
        assert_eq!(Snapshot::new("10").unwrap().bounds(), None);
    }

    #[test]
    fn nothing_but_a_snapshot_is_accepted() {
        assert!(Snapshot::new("10:20:10,14,15").is_ok());
        assert!(Snapshot::new("10:20:").is_ok());
        assert!(Snapshot::new("").is_err());
        assert!(Snapshot::new("10:20:'; drop table x").is_err());
    }
}
