//! A TCP proxy that fails on demand, between Instant and PostgreSQL or Centrifugo.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// Bytes read at once in either direction.
const BUFFER: usize = 65536;

/// How the proxy treats its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Forwards everything.
    Pass,
    /// Keeps connections, old and new, and forwards nothing, like a network that drops packets.
    Stall,
    /// Resets connections, old and new.
    Cut,
    /// Forwards requests and resets the connection when the reply arrives, so that the outcome is unknown.
    LoseReplies,
    /// Answers new connections with this HTTP status, without contacting the target.
    Answer(u16),
}

/// A running proxy; its connections are reset when it is dropped.
pub(crate) struct Proxy {
    address: SocketAddr,
    /// The first server, whose URLs are redirected here.
    target: SocketAddr,
    state: watch::Sender<State>,
    met: Met,
    accepting: AbortHandle,
}

/// The number of failures that connections have met.
#[derive(Clone, Default)]
struct Met(Arc<AtomicU64>);

impl Met {
    fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// The mode, and how often connections were reset or stranded: a connection lives, and forwards anything, only while these counts are
/// those it began with.
#[derive(Clone, Copy, Debug)]
struct State {
    mode: Mode,
    target: SocketAddr,
    resets: u64,
    strandings: u64,
}

impl Proxy {
    /// Listens on a free port and forwards everything to the server of a URL.
    pub(crate) async fn to(url: &str) -> Self {
        let target: SocketAddr = authority(url).parse().unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (state, receiver) = watch::channel(State {
            mode: Mode::Pass,
            target,
            resets: 0,
            strandings: 0,
        });
        let met = Met::default();
        let accepting = tokio::spawn(accept(listener, receiver, met.clone())).abort_handle();
        Self {
            address,
            target,
            state,
            met,
            accepting,
        }
    }

    /// The URL with the proxy in place of the target.
    pub(crate) fn url(&self, url: &str) -> String {
        url.replacen(&self.target.to_string(), &self.address.to_string(), 1)
    }

    /// Changes the mode. Open connections continue under the new one, except for `Cut` and `Answer`, which reset them.
    pub(crate) fn set(&self, mode: Mode) {
        let resets = matches!(mode, Mode::Cut | Mode::Answer(_));
        self.state.send_modify(|state| {
            state.mode = mode;
            state.resets += u64::from(resets);
        });
    }

    /// How often a connection has been reset, refused, answered or delayed so far.
    pub(crate) fn met(&self) -> u64 {
        self.met.0.load(Ordering::Relaxed)
    }

    /// Resets the open connections, and forwards new ones to another server.
    pub(crate) fn retarget(&self, url: &str) {
        let target = authority(url).parse().unwrap();
        self.state.send_modify(|state| {
            state.target = target;
            state.resets += 1;
        });
    }

    /// Keeps the open connections forever without forwarding anything; new ones work.
    pub(crate) fn strand(&self) {
        self.state.send_modify(|state| state.strandings += 1);
    }

    /// Resets the open connections once; new ones work.
    pub(crate) fn reset(&self) {
        self.state.send_modify(|state| state.resets += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// The `host:port` of a URL.
fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split('/').next().unwrap_or(rest);
    rest.rsplit('@').next().unwrap_or(rest)
}

async fn accept(listener: TcpListener, state: watch::Receiver<State>, met: Met) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(serve(client, state.clone(), met.clone()));
    }
}

/// Serves one connection until either side closes it, the proxy resets it, or the proxy is gone.
async fn serve(mut client: TcpStream, mut state: watch::Receiver<State>, met: Met) {
    // Dropped with a linger of zero, a socket sends RST.
    client.set_zero_linger().unwrap();
    let State {
        mode, target, resets, ..
    } = *state.borrow_and_update();
    let mut reset = state.clone();
    let was_reset = async move {
        // An error means that the proxy is gone.
        let _ = reset.wait_for(|state| state.resets != resets).await;
    };
    let work = async {
        match mode {
            Mode::Cut => met.count(),
            Mode::Answer(status) => {
                met.count();
                answer(&mut client, status).await;
            }
            Mode::Pass | Mode::Stall | Mode::LoseReplies => pass(&mut client, target, state, &met).await,
        }
    };
    tokio::select! {
        () = work => {}
        () = was_reset => met.count(),
    }
}

/// Answers one HTTP request, whatever it is.
async fn answer(client: &mut TcpStream, status: u16) {
    let mut request = vec![0; BUFFER];
    // The first bytes are enough to answer. The rest is read too, since closing with unread data would lose the answer.
    if client.read(&mut request).await.unwrap_or(0) == 0 {
        return;
    }
    let head = format!("HTTP/1.1 {status} Made Up\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    if client.write_all(head.as_bytes()).await.is_ok() && client.shutdown().await.is_ok() {
        while client.read(&mut request).await.is_ok_and(|count| count > 0) {}
    }
}

/// Forwards bytes both ways as the mode says.
async fn pass(client: &mut TcpStream, target: SocketAddr, state: watch::Receiver<State>, met: &Met) {
    let strandings = state.borrow().strandings;
    let Ok(mut server) = TcpStream::connect(target).await else {
        return;
    };
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let mut requests_state = state.clone();
    let requests = async {
        let mut buffer = vec![0; BUFFER];
        while let Ok(count @ 1..) = from_client.read(&mut buffer).await {
            flowing(&mut requests_state, strandings, met).await;
            if to_server.write_all(&buffer[..count]).await.is_err() {
                break;
            }
        }
        // A network that drops packets drops the last one too.
        flowing(&mut requests_state, strandings, met).await;
    };
    let mut replies_state = state;
    let replies = async {
        let mut buffer = vec![0; BUFFER];
        while let Ok(count @ 1..) = from_server.read(&mut buffer).await {
            if flowing(&mut replies_state, strandings, met).await == Mode::LoseReplies {
                met.count();
                break;
            }
            if to_client.write_all(&buffer[..count]).await.is_err() {
                break;
            }
        }
        flowing(&mut replies_state, strandings, met).await;
    };
    tokio::select! {
        () = requests => {}
        () = replies => {}
    }
}

/// Waits while the proxy stalls or has stranded a connection, which began at `strandings`, and returns the mode after that.
async fn flowing(state: &mut watch::Receiver<State>, strandings: u64, met: &Met) -> Mode {
    let flows = |state: &State| state.mode != Mode::Stall && state.strandings == strandings;
    if !flows(&state.borrow()) {
        met.count();
    }
    state.wait_for(flows).await.map_or(Mode::Cut, |state| state.mode)
}
