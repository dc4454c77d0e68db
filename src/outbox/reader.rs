//! The reader's session: windows of changes, page by page, and the doze between them.

mod page;

use jiff::Timestamp;
use secrecy::SecretString;
use tokio_postgres::Statement;
use tokio_postgres::error::SqlState;

use super::announcement::{Announcement, Seen};
use super::lost::{Counted, Counter, Lost};
use super::position::{Position, Snapshot, Within};
use super::rest::Rest;
use super::rows::Rows;
use super::session::{Error, Session, in_time};
use super::sql::{self, windows};
use crate::change::Change;

pub use page::{Feed, Page};

/// The maximum changes of a window's first page. A window that fills it may be a giant one, and continues through a held cursor.
const FIRST_PAGE: i64 = 1_000;

/// The session that reads the outbox.
#[derive(Debug)]
pub struct Reader {
    session: Session,
    window: Statement,
    doze: Statement,
    wake: Statement,
    can_doze: bool,
    /// Whether the next page ends the doze.
    wakes: bool,
    /// Where the next window begins.
    start: Snapshot,
    /// The current window: its end, and the last change read from it.
    within: Option<Within>,
    /// The cursor on the rest of that window, once open.
    rest: Option<Rest>,
    /// When the last window was read, by PostgreSQL's clock.
    read_at: Timestamp,
    /// The losses counted by then.
    lost: Counter,
    /// The changes read and announced so far.
    seen: Seen,
}

impl Reader {
    /// Connects and subscribes to notifications; reading continues at `position`.
    ///
    /// # Errors
    /// When PostgreSQL cannot be reached, or its schema is not the one this binary supports.
    pub async fn open(url: &SecretString, position: Position) -> Result<Self, Error> {
        let session = Session::connect(url, "instant reader").await?;
        let window = in_time(windows::prepare(&session.client)).await?;
        let doze = in_time(sql::prepare_doze(&session.client)).await?;
        let wake = in_time(sql::prepare_wake(&session.client)).await?;
        in_time(sql::listen(&session.client)).await?;
        let can_doze = in_time(sql::triggers_notify(&session.client)).await?;
        let mut within = position.within;
        if within.is_none() && in_time(windows::holds_more(&session.client, &position.snapshot, FIRST_PAGE)).await? {
            // A backlog: finding its first page takes as long as sorting it all. No id is below 1.
            let until = Snapshot::new(&in_time(sql::current_snapshot(&session.client)).await?)?;
            within = Some(Within { until, after: 0 });
        }
        Ok(Self {
            session,
            window,
            doze,
            wake,
            can_doze,
            wakes: false,
            start: position.snapshot,
            within,
            rest: None,
            read_at: Timestamp::UNIX_EPOCH,
            lost: Counter::default(),
            seen: Seen::default(),
        })
    }

    /// Has the triggers announce changes to this reader while it dozes; an earlier subscriber receives none from then on.
    ///
    /// # Errors
    /// When PostgreSQL refuses or does not answer.
    pub async fn subscribe_to_announcements(&self) -> Result<(), Error> {
        in_time(sql::subscribe_to_announcements(&self.session.client)).await
    }

    /// The next announcement that was received. If its change is [admitted](Self::admit), it is published before it is read.
    pub fn announced(&mut self) -> Option<Announcement> {
        self.session.announced.try_recv().ok().map(Announcement::new)
    }

    /// Takes an announced change, if all with smaller ids were read or taken; the window that brings it [recognises](Page::is_new) it.
    /// Ids order the changes of one row, so that a change before it cannot come later.
    pub fn admit(&mut self, change: &Change<'_>) -> bool {
        self.seen.admit(change)
    }

    /// The position before everything that is still to be read, announced changes included.
    #[must_use]
    pub fn position(&self) -> Position {
        Position::at(self.start.clone())
    }

    /// The next page: from the rest of the current window, or the first page of a new one.
    ///
    /// # Errors
    /// When PostgreSQL refuses or does not answer.
    pub async fn page(&mut self) -> Result<Page<'_>, Error> {
        let client = &self.session.client;
        let wakes = std::mem::take(&mut self.wakes);
        let wake = async { if wakes { sql::wake(client, &self.wake).await } else { Ok(()) } };
        let (rows, until) = if let Some(within) = &self.within {
            in_time(wake).await?;
            let rest = match &mut self.rest {
                Some(rest) => rest,
                None => self.rest.insert(Rest::open(client, &self.start, within).await?),
            };
            (rest.page(client).await?, Some(within.until.clone()))
        } else {
            // Pipelined: what this read finds waits for one round trip, not for two.
            let first_page = windows::first_page(client, &self.window, &self.start, FIRST_PAGE);
            let (woken, rows) = tokio::join!(in_time(wake), in_time(first_page));
            woken?;
            let rows = Rows {
                stream: rows?,
                limit: FIRST_PAGE,
                expected: None,
            };
            (rows, None)
        };
        Ok(Page {
            reader: self,
            rows,
            count: 0,
            until,
        })
    }

    /// Has the next page continue the window that ends at `until`, after the change `after`.
    fn resume_after(&mut self, until: Snapshot, after: i64) {
        if let Some(rest) = &mut self.rest {
            rest.reached(after);
        }
        self.within = Some(Within { until, after });
    }

    /// When the last window was read, by PostgreSQL's clock.
    #[must_use]
    pub const fn read_at(&self) -> Timestamp {
        self.read_at
    }

    /// The changes that were lost by then; `None` before the first window.
    #[must_use]
    pub const fn lost(&self) -> Option<Lost> {
        self.lost.lost()
    }

    /// Counts a loss. On this session, so that the ledger need not wait.
    ///
    /// # Errors
    /// When PostgreSQL refuses for another reason or does not answer.
    pub async fn count_loss(&self) -> Result<Counted, Error> {
        match in_time(sql::losses::add(&self.session.client)).await {
            Err(Error::Postgres(error)) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => Ok(Counted::Forbidden),
            Err(Error::Postgres(error)) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => Ok(Counted::Locked),
            counted => counted.map(|()| Counted::Yes),
        }
    }

    /// Whether the relay may sleep on notifications; otherwise it must poll.
    #[must_use]
    pub const fn can_doze(&self) -> bool {
        self.can_doze
    }

    /// Tries to fall asleep. Once this returns true, every commit of a change notifies; the caller reads again before it sleeps, for
    /// what was committed without a NOTIFY before.
    ///
    /// # Errors
    /// When PostgreSQL does not answer.
    pub async fn try_doze(&self) -> Result<bool, Error> {
        in_time(sql::try_doze(&self.session.client, &self.doze)).await
    }

    /// Wakes up with the next page: from then on nobody notifies.
    pub const fn wake(&mut self) {
        self.wakes = true;
    }

    /// Wakes up now, since the next page may not be read for a long time.
    ///
    /// # Errors
    /// When PostgreSQL does not answer.
    pub async fn wake_now(&mut self) -> Result<(), Error> {
        self.wakes = false;
        in_time(sql::wake(&self.session.client, &self.wake)).await
    }

    /// Waits for a notification.
    ///
    /// # Errors
    /// Always [`Error::Closed`], when the connection is lost.
    pub async fn notified(&self) -> Result<(), Error> {
        tokio::select! {
            () = self.session.notified.notified() => Ok(()),
            error = self.session.closed() => Err(error),
        }
    }
}
