//! The reader's session: windows of changes, page by page, and the doze between them.

mod page;

use jiff::Timestamp;
use secrecy::SecretString;
use tokio_postgres::Statement;
use tokio_postgres::error::SqlState;

use super::announcement::{Announcement, Seen};
use super::lost::{Counter, Lost};
use super::position::{Position, Snapshot, Within};
use super::rest::Rest;
use super::rows::Rows;
use super::session::{Error, Session, patiently};
use super::sql::{self, windows};
use crate::change::Change;

pub use page::{Feed, Page};

/// The changes of a window's first page. A window that fills it may be a giant one, and is read on through a held cursor.
const FIRST_PAGE: i64 = 1_000;

/// Reads the outbox.
#[derive(Debug)]
pub struct Reader {
    session: Session,
    window: Statement,
    doze: Statement,
    wake: Statement,
    can_doze: bool,
    /// Whether the doze is to end with the next page.
    wakes: bool,
    /// Where the next window begins.
    start: Snapshot,
    /// The window that is being read: its end, and the last change read of it.
    within: Option<Within>,
    /// The cursor on the rest of that window, once it is open.
    rest: Option<Rest>,
    /// When the last window was read, by PostgreSQL's clock.
    read_at: Timestamp,
    /// What was lost by then.
    lost: Counter,
    /// What was read, and announced.
    seen: Seen,
}

impl Reader {
    /// Connects and subscribes to notifications; reading goes on at `position`.
    ///
    /// # Errors
    /// When PostgreSQL cannot be reached, or its schema is not the one this binary knows.
    pub async fn open(url: &SecretString, position: Position) -> Result<Self, Error> {
        let session = Session::connect(url, "instant reader").await?;
        let window = patiently(windows::prepare(&session.client)).await?;
        let doze = patiently(sql::prepare_doze(&session.client)).await?;
        let wake = patiently(sql::prepare_wake(&session.client)).await?;
        patiently(sql::listen(&session.client)).await?;
        let can_doze = patiently(sql::triggers_notify(&session.client)).await?;
        let mut within = position.within;
        if within.is_none() && patiently(windows::holds_more(&session.client, &position.snapshot, FIRST_PAGE)).await? {
            // A backlog: finding the first page of it takes as long as sorting it all. No id is below 1.
            let until = Snapshot::new(&patiently(sql::current_snapshot(&session.client)).await?)?;
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

    /// Has the triggers announce changes to this reader while it dozes; whoever heard them before hears them no more.
    ///
    /// # Errors
    /// When PostgreSQL refuses or does not answer.
    pub async fn hear_announcements(&self) -> Result<(), Error> {
        patiently(sql::hear_announcements(&self.session.client)).await
    }

    /// What was announced and not asked for yet. It is published before it is read where it is [admitted](Self::admit).
    pub fn announced(&mut self) -> Option<Announcement> {
        self.session.announced.try_recv().ok().map(Announcement::new)
    }

    /// Takes an announced change, if all with smaller ids were read or taken; the window that has it [knows](Page::is_new) it. Ids
    /// order the changes of one row, so that a change before it cannot come later.
    pub fn admit(&mut self, change: &Change<'_>) -> bool {
        self.seen.admit(change)
    }

    /// What is read, or was announced before it is, comes after this.
    #[must_use]
    pub fn position(&self) -> Position {
        Position::at(self.start.clone())
    }

    /// The next page: the rest of the window under way, or the first page of a new one.
    ///
    /// # Errors
    /// When PostgreSQL refuses or does not answer.
    pub async fn page(&mut self) -> Result<Page<'_>, Error> {
        let client = &self.session.client;
        let wakes = std::mem::take(&mut self.wakes);
        let wake = async { if wakes { sql::wake(client, &self.wake).await } else { Ok(()) } };
        let (rows, until) = if let Some(within) = &self.within {
            patiently(wake).await?;
            let rest = match &mut self.rest {
                Some(rest) => rest,
                None => self.rest.insert(Rest::open(client, &self.start, within).await?),
            };
            (rest.page(client).await?, Some(within.until.clone()))
        } else {
            // In one flight: what this read finds waits for one answer, not for two.
            let first_page = windows::first_page(client, &self.window, &self.start, FIRST_PAGE);
            let (woken, rows) = tokio::join!(patiently(wake), patiently(first_page));
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

    /// The next page is of the window that ends at `until`, behind the change `after`.
    fn go_on(&mut self, until: Snapshot, after: i64) {
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

    /// The changes that were lost by then; none before the first window.
    #[must_use]
    pub const fn lost(&self) -> Option<Lost> {
        self.lost.lost()
    }

    /// Counts a loss, which the next window brings; false where this role may not. Here, so that the ledger has nothing to wait for.
    ///
    /// # Errors
    /// When PostgreSQL refuses for another reason or does not answer.
    pub async fn count_loss(&self) -> Result<bool, Error> {
        match patiently(sql::losses::add(&self.session.client)).await {
            Err(Error::Postgres(error)) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => Ok(false),
            counted => counted.map(|()| true),
        }
    }

    /// Whether the relay may sleep on notifications; otherwise it has to poll.
    #[must_use]
    pub const fn can_doze(&self) -> bool {
        self.can_doze
    }

    /// Tries to fall asleep. Once it is true, every commit of a change notifies; the caller reads once more before it sleeps, for
    /// what was committed without a NOTIFY before.
    ///
    /// # Errors
    /// When PostgreSQL does not answer.
    pub async fn try_doze(&self) -> Result<bool, Error> {
        patiently(sql::try_doze(&self.session.client, &self.doze)).await
    }

    /// Wakes up with the next page: from there on nobody notifies.
    pub const fn wake(&mut self) {
        self.wakes = true;
    }

    /// Wakes up before the next page, which may not be read for long.
    ///
    /// # Errors
    /// When PostgreSQL does not answer.
    pub async fn wake_now(&mut self) -> Result<(), Error> {
        self.wakes = false;
        patiently(sql::wake(&self.session.client, &self.wake)).await
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
