//! A connection of the relay: pinned settings, quick detection of a dead peer, notifications.

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

/// The timeout for a connection to be established, for each address.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The timeout until its settings are pinned, with several addresses tried in turn.
const SESSION_TIMEOUT: Duration = Duration::from_secs(30);
/// A peer that acknowledges nothing for this long is gone; both sides use it, so that a standby takes over within seconds.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(6);
/// When an idle connection is first probed, and how often from then on; three lost probes end it.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(5);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);
const KEEPALIVE_RETRIES: u32 = 3;

/// The announcements that may wait to be taken; beyond that they are dropped, and their changes are read with the window.
const ANNOUNCED: usize = 64;

/// The timeout of a statement that does not sort, after which the connection counts as lost.
pub(super) const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);

/// An error between the relay and PostgreSQL.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL cannot be parsed. The message quotes no part of it, since it holds a password.
    #[error("{}", config::UNREADABLE_URL)]
    Url,
    /// Something that libpq accepts, but not both of the drivers here.
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
    /// The schema is missing, or not the one this binary supports.
    #[error("the schema `instant` is not as this version needs it ({0}); run `instant apply`")]
    Schema(String),
    /// The cursor was written in another cluster, so its transaction ids mean nothing here.
    #[error(
        "this database was restored from another cluster (its cursor belongs to system {stored}, this is {here}); \
         run `instant adopt` as the tables' owner to continue here"
    )]
    ForeignCursor {
        /// The cluster that wrote the cursor.
        stored: i64,
        /// The cluster that the relay is connected to.
        here: i64,
    },
    /// The cursor's row is missing.
    #[error(
        "`instant.relay` has no cursor: this database was restored without Instant's rows; run `instant remove`, then \
         `instant apply`, as the tables' owner, to start over"
    )]
    NoCursor,
    /// PostgreSQL sent something that it never should.
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
    /// Any other error of PostgreSQL or the driver.
    #[error("PostgreSQL: {}", describe(.0))]
    Postgres(#[source] tokio_postgres::Error),
}

/// The server's own message rather than the driver's "db error", or the driver's message with its cause.
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
    /// Whether a retry can help: true for everything that an operator need not fix.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        !matches!(
            self,
            Self::Url | Self::Unread(_) | Self::Tls(_) | Self::Pooler | Self::ForeignCursor { .. } | Self::NoCursor
        )
    }
}

/// Checks that `url` says where to connect, without connecting.
///
/// # Errors
/// When it cannot be parsed, or names something that cannot be used.
pub fn check_url(url: &SecretString) -> Result<(), Error> {
    tls::configure(url.expose_secret()).map(drop)
}

/// A connection and the task that drives it.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) client: Client,
    /// Woken by every notification but announcements.
    pub(super) notified: Arc<Notify>,
    /// The payloads of announcements.
    pub(super) announced: mpsc::Receiver<String>,
    closed: CancellationToken,
}

impl Session {
    /// Connects, pins what the server's or the role's settings might change, and refuses a pooler. The kernel may accept a connection for
    /// a server that hangs, so all of it has a timeout.
    pub(super) async fn connect(url: &SecretString, name: &str) -> Result<Self, Error> {
        Self::connect_within(SESSION_TIMEOUT, url, name).await
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

    /// Completes when the connection ends.
    pub(super) async fn closed(&self) -> Error {
        self.closed.cancelled().await;
        Error::Closed
    }

    /// Refuses a pooler, which hands out its own keys: the process that the handshake named is not the one that answers queries.
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

/// Waits for a statement, up to [`STATEMENT_TIMEOUT`]. A half-open connection never answers; this detects it before TCP does.
pub(super) async fn in_time<T>(query: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, Error> {
    in_time_of(STATEMENT_TIMEOUT, query).await
}

/// Waits for a statement, up to `limit`.
pub(super) async fn in_time_of<T>(
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
    async fn a_server_that_accepts_connections_and_sends_nothing_times_out() {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("postgresql://shop@{}/shop", server.local_addr().unwrap());
        let limit = Duration::from_millis(200);
        let error = Session::connect_within(limit, &url.into(), "a test").await.unwrap_err();
        assert!(matches!(error, Error::Silent(_)), "{error}");
    }
}
