//! A connection of the relay: pinned settings, quick notice of a dead peer, notifications.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{Notify, mpsc};
use tokio_postgres::error::SqlState;
use tokio_postgres::{AsyncMessage, Client};
use tokio_util::sync::CancellationToken;

use super::{ANNOUNCEMENTS, handshake, sql, tls};
use crate::config;

/// How long a connection may take to come up, at one address.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long it may take until its settings are pinned, at some addresses one after the other.
const ATTEMPT: Duration = Duration::from_secs(30);
/// A peer that acknowledges nothing for this long is gone; both sides use it, so that a standby takes over within seconds.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(6);
/// When an idle connection is probed first, and how often from then on; three lost probes end it.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(5);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);
const KEEPALIVE_RETRIES: u32 = 3;

/// The announcements that wait to be taken; of more the rest is passed over, and read.
const ANNOUNCED: usize = 64;

/// How long a statement may take, unless it is one that sorts: then the connection counts as lost.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// What went wrong between the relay and PostgreSQL.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL cannot be read. The text names no part of it, since it holds a password.
    #[error("{}", config::UNREADABLE_URL)]
    Url,
    /// What libpq would take, and the two drivers do not both.
    #[error("the database URL: {0}")]
    Unread(&'static str),
    /// A certificate or key that the URL names cannot be used.
    #[error("TLS of the database URL: {0}")]
    Tls(String),
    /// The connection goes through a pooler.
    #[error(
        "the database URL leads to a connection pooler, where locks and LISTEN do not hold; give `[database] url` a direct connection"
    )]
    Pooler,
    /// The schema is not there, or not as this binary knows it.
    #[error("the schema `instant` is not as this version needs it ({0}); run `instant apply`")]
    Schema(String),
    /// The cursor was written in another cluster: its transaction ids mean nothing here.
    #[error(
        "this database was restored from another cluster (its cursor belongs to system {stored}, this is {here}); \
         `instant adopt`, as the tables' owner, goes on here"
    )]
    ForeignCursor {
        /// The cluster that wrote the cursor.
        stored: i64,
        /// The cluster that the relay is connected to.
        here: i64,
    },
    /// The cursor's row is not there.
    #[error(
        "`instant.relay` has no cursor: this database was restored without Instant's rows; `instant remove`, then `instant apply`, \
         as the tables' owner, begin anew"
    )]
    NoCursor,
    /// PostgreSQL sent what no PostgreSQL sends.
    #[error("PostgreSQL answered with something unexpected: {0}")]
    Protocol(&'static str),
    /// A large window's changes are no longer where they were.
    #[error(
        "a large transaction's changes are no longer where they were: the outbox was rewritten (by `vacuum full` or the like), or \
         rows were deleted from it"
    )]
    Moved,
    /// The connection ended.
    #[error("the connection to PostgreSQL was lost")]
    Closed,
    /// PostgreSQL did not answer in time.
    #[error("PostgreSQL did not answer within {} seconds", .0.as_secs())]
    Silent(Duration),
    /// Anything else that PostgreSQL or the driver says.
    #[error("PostgreSQL: {}", describe(.0))]
    Postgres(#[source] tokio_postgres::Error),
}

/// The server's own message rather than the driver's "db error", and the cause of what the driver says.
pub(super) fn describe(error: &tokio_postgres::Error) -> String {
    if let Some(server) = error.as_db_error() {
        return format!("{} ({})", server.message(), server.code().code());
    }
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.code() {
            Some(
                &SqlState::UNDEFINED_TABLE
                | &SqlState::INVALID_SCHEMA_NAME
                | &SqlState::UNDEFINED_COLUMN
                | &SqlState::UNDEFINED_FUNCTION,
            ) => Self::Schema(describe(&error)),
            _ if error.is_closed() => Self::Closed,
            _ => Self::Postgres(error),
        }
    }
}

impl Error {
    /// Whether trying again can help: everything but what a person has to fix.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        !matches!(
            self,
            Self::Url | Self::Unread(_) | Self::Tls(_) | Self::Pooler | Self::ForeignCursor { .. } | Self::NoCursor
        )
    }
}

/// Whether the relay can tell from `url` where to connect. Connects nowhere.
///
/// # Errors
/// When it cannot be read, or names what cannot be used.
pub fn check_url(url: &SecretString) -> Result<(), Error> {
    tls::configure(url.expose_secret()).map(drop)
}

/// A connection and the task that drives it.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) client: Client,
    /// Woken by every notification but announcements.
    pub(super) notified: Arc<Notify>,
    /// What was announced.
    pub(super) announced: mpsc::Receiver<String>,
    closed: CancellationToken,
}

impl Session {
    /// Connects, pins what the server's or the role's settings might change, and refuses a pooler. The kernel may take a connection for a
    /// server that hangs, so that all of it has a time-out.
    pub(super) async fn connect(url: &SecretString, name: &str) -> Result<Self, Error> {
        Self::connect_within(ATTEMPT, url, name).await
    }

    async fn connect_within(limit: Duration, url: &SecretString, name: &str) -> Result<Self, Error> {
        let connecting = tokio::time::timeout(limit, Self::establish(url, name));
        connecting.await.unwrap_or(Err(Error::Silent(limit)))
    }

    async fn establish(url: &SecretString, name: &str) -> Result<Self, Error> {
        let (mut config, tls) = tls::configure(url.expose_secret())?;
        config
            .application_name(name)
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_user_timeout(TCP_USER_TIMEOUT)
            .keepalives_idle(KEEPALIVE_IDLE)
            .keepalives_interval(KEEPALIVE_INTERVAL)
            .keepalives_retries(KEEPALIVE_RETRIES);
        let (client, mut connection) = config.connect(tls).await?;
        let notified = Arc::new(Notify::new());
        let closed = CancellationToken::new();
        let (announce, announced) = mpsc::channel(ANNOUNCED);
        let (wake, guard) = (Arc::clone(&notified), closed.clone().drop_guard());
        tokio::spawn(async move {
            let _closed_at_the_end = guard;
            loop {
                match poll_fn(|context| connection.poll_message(context)).await {
                    Some(Ok(AsyncMessage::Notification(announcement))) if announcement.channel().starts_with(ANNOUNCEMENTS) => {
                        let _ = announce.try_send(announcement.payload().to_owned());
                    }
                    Some(Ok(AsyncMessage::Notification(_))) => wake.notify_one(),
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => break,
                }
            }
        });
        let session = Self {
            client,
            notified,
            announced,
            closed,
        };
        sql::pin_settings(&session.client).await?;
        session.refuse_pooler().await?;
        Ok(session)
    }

    /// Ends when the connection does.
    pub(super) async fn closed(&self) -> Error {
        self.closed.cancelled().await;
        Error::Closed
    }

    /// A pooler hands out keys of its own: the process that the handshake named is not the one that answers queries.
    async fn refuse_pooler(&self) -> Result<(), Error> {
        let answering = sql::backend_pid(&self.client).await?;
        let named = handshake::process_id(&self.client).await;
        if named.ok_or(Error::Protocol("no process id in the handshake"))? == answering {
            Ok(())
        } else {
            Err(Error::Pooler)
        }
    }
}

/// Waits for a statement. A half-open connection answers nothing; this says so before TCP does.
pub(super) async fn patiently<T>(query: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, Error> {
    within(PATIENCE, query).await
}

/// Waits for a statement that may take longer.
pub(super) async fn within<T>(
    limit: Duration,
    query: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, Error> {
    Ok(tokio::time::timeout(limit, query).await.map_err(|_| Error::Silent(limit))??)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_server_that_takes_connections_and_says_nothing_is_given_up() {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("postgresql://shop@{}/shop", server.local_addr().unwrap());
        let limit = Duration::from_millis(200);
        let error = Session::connect_within(limit, &url.into(), "a test").await.unwrap_err();
        assert!(matches!(error, Error::Silent(_)), "{error}");
    }
}
