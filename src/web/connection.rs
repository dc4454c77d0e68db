//! The accept loop, with limits on how many connections there are and how slow they may be; axum's own loop has none.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Web;
use super::revocation::{self, Subject};
use super::router::router;
use crate::hub::Hub;

/// Connections at once; more wait to be accepted.
const CONNECTIONS: usize = 4096;
/// How long a client may take for a request's head, and stay idle between two requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a client may leave sent data unread or unacknowledged. Without a limit, the server would wait forever for one that reads
/// none of its answers.
const UNREAD: Duration = Duration::from_secs(30);
/// The largest request head in bytes: a page's cookies and the other headers.
const LARGEST_HEAD: usize = 64 * 1024;
/// How long requests in progress may take after shutdown has begun.
const GRACE: Duration = Duration::from_secs(5);
/// The interval between two sweeps of what the hub no longer needs.
const SWEEP: Duration = Duration::from_secs(5);
/// The pause when no connection can be accepted, as when the process has no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The address that a request comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) SocketAddr);

/// Closes the connection of a request, whatever is in progress.
#[derive(Clone, Debug)]
pub(super) struct Hangup(pub(super) CancellationToken);

/// Serves `web` until `shutdown`, then lets requests in progress finish within a grace period.
pub async fn serve(listener: TcpListener, web: Arc<Web>, shutdown: CancellationToken) {
    let service = TowerToHyperService::new(router(Arc::clone(&web)));
    for subject in [Subject::Connections, Subject::Subscriptions] {
        tokio::spawn(revocation::watch(Arc::clone(&web), subject, shutdown.clone()));
    }
    if let Some(hub) = &web.hub {
        tokio::spawn(sweep(Arc::clone(hub), shutdown.clone()));
    }
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    let mut protocol = http1::Builder::new();
    protocol
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(LARGEST_HEAD);
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &permits) => accepted,
            () = shutdown.cancelled() => break,
        };
        let (stream, peer, permit) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, "no connection could be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let service = service.clone();
        let hangup = Hangup(CancellationToken::new());
        let hung_up = hangup.0.clone();
        let with_peer = service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer));
            request.extensions_mut().insert(hangup.clone());
            service.call(request)
        });
        let connection = protocol.serve_connection(TokioIo::new(stream), with_peer).with_upgrades();
        let ending = shutdown.clone();
        web.tasks.spawn(async move {
            let mut connection = pin!(connection);
            // How a connection ended is of no interest here.
            let ended = tokio::select! {
                ended = connection.as_mut() => Some(ended),
                () = hung_up.cancelled() => return,
                () = ending.cancelled() => None,
            };
            if ended.is_none() {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            }
            drop(permit);
        });
    }
    drop(listener);
    if let Some(hub) = &web.hub {
        hub.close();
    }
    web.tasks.close();
    if tokio::time::timeout(GRACE, web.tasks.wait()).await.is_err() {
        info!("requests still in progress after the grace period were aborted");
    }
    web.access().close().await;
    web.revocation().close().await;
}

/// Has the hub drop what is too old.
async fn sweep(hub: Arc<Hub>, shutdown: CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(SWEEP) => hub.sweep(),
            () = shutdown.cancelled() => return,
        }
    }
}

type Accepted = (TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit);

async fn accept(listener: &TcpListener, permits: &Arc<Semaphore>) -> io::Result<Accepted> {
    let permit = Arc::clone(permits).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    // Otherwise an event waits until the client has acknowledged the previous one, which takes up to 40 ms. If the client is already
    // gone, the connection fails later.
    let _ = stream.set_nodelay(true);
    let _ = SockRef::from(&stream).set_tcp_user_timeout(Some(UNREAD));
    Ok((stream, peer, permit))
}
