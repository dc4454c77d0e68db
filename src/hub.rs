//! The hub: Centrifugo's client protocol in this process, for a single process and in memory.
//!
//! ```text
//!  relay ──publish──▶ Hub ──▶ channel: number, keep, encode once ──▶ the queue of each subscriber ──▶ its socket
//!  socket ──frame──▶ Session ──▶ Authority: who is it, may it subscribe?
//! ```
//!
//! A channel is locked while it is published to or subscribed to, but never across an await. Messages are queued for clients under
//! that lock, so that the reply to a subscription precedes the first publication that it does not include.

mod authority;
mod channel;
mod client;
pub mod code;
mod directory;
mod idempotency;
pub mod json;
mod namespaces;
mod protocol;
mod publish;
mod publisher;
mod queries;
pub mod queue;
mod session;
mod stream;
mod subscription;
mod wait_budget;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard, RwLock};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use channel::Channel;
use code::Disconnect;
use directory::Directory;
use idempotency::SeenKeys;
use namespaces::Namespaces;
use wait_budget::WaitBudget;

pub use authority::{Admission, Authority, Permit};
pub use protocol::History;
pub use publish::Draft;
pub use queries::{Counts, write_presence};
pub use session::{AFTER_TOKEN, Session};
pub use stream::{Position, Range};

/// The number of locks that channels share. Publications on different channels seldom contend for one.
const SHARDS: usize = 64;

/// The most channels of a shard that have neither subscribers nor a history, but only an offset. If there are more, all of them are
/// dropped, and clients that reconnect have a gap.
const IDLE: usize = 256;

/// The hub's memory limits and timeouts.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most connections.
    pub clients: usize,
    /// The most subscriptions of one client.
    pub channels: usize,
    /// The most bytes queued for one client.
    pub queue: usize,
    /// The most bytes in all histories together.
    pub history: usize,
    /// The interval between pings.
    pub ping: Duration,
    /// How long a client may take to answer a ping; less than the interval.
    pub pong: Duration,
    /// How long a client may take to authenticate.
    pub stale: Duration,
}

/// Uses Centrifugo's defaults where it has them.
impl Default for Limits {
    fn default() -> Self {
        Self {
            clients: 20_000,
            channels: 128,
            queue: 1 << 20,
            history: 256 << 20,
            ping: Duration::from_secs(25),
            pong: Duration::from_secs(8),
            stale: Duration::from_secs(10),
        }
    }
}

/// The hub.
#[derive(Debug)]
pub struct Hub {
    limits: Limits,
    namespaces: RwLock<Arc<Namespaces>>,
    hasher: RandomState,
    shards: Box<[Mutex<Shard>]>,
    /// Locked while holding a shard's lock.
    seen_keys: SeenKeys,
    directory: Directory,
    /// Connections, including those that have not authenticated yet.
    sessions: AtomicUsize,
    /// The bytes of all histories.
    kept: AtomicUsize,
    /// Whether clients are admitted.
    is_open: AtomicBool,
    closing: CancellationToken,
    /// The budget for publications that wait for slow clients.
    wait_budget: WaitBudget,
    started: Instant,
}

/// A part of the channels, under one lock.
#[derive(Debug, Default)]
struct Shard {
    channels: HashMap<Arc<str>, Channel>,
}

impl Hub {
    /// Creates an empty hub with the channel rules of `config`.
    #[must_use]
    pub fn new(config: &Config, limits: Limits) -> Self {
        Self {
            limits,
            namespaces: RwLock::new(Arc::new(Namespaces::new(config))),
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            seen_keys: SeenKeys::default(),
            directory: Directory::default(),
            sessions: AtomicUsize::new(0),
            kept: AtomicUsize::new(0),
            is_open: AtomicBool::new(true),
            closing: CancellationToken::new(),
            wait_budget: WaitBudget::new(Instant::now()),
            started: Instant::now(),
        }
    }

    /// Applies the channel rules of a reloaded configuration. Open subscriptions stay unchanged.
    pub fn reload(&self, config: &Config) {
        *self.namespaces.write() = Arc::new(Namespaces::new(config));
    }

    /// Disconnects a user's connection `client`, or all of the user's connections without it.
    pub fn disconnect(&self, user: &str, client: Option<&str>, disconnect: &Disconnect) {
        for client in self.directory.of(user, client) {
            client.queue.end(disconnect.clone());
        }
    }

    /// Ends the subscription to `channel` of a user's connection `client`, or of all the user's connections without it.
    pub fn unsubscribe(&self, user: &str, client: Option<&str>, channel: &str) {
        for client in self.directory.of(user, client) {
            self.revoke(&client, channel, 2000, "server unsubscribe");
        }
    }

    /// Starts or stops admitting clients. When it stops, connected clients are disconnected to reconnect elsewhere, and the histories
    /// end: they would lack what another process publishes meanwhile, so that clients that return later have a gap.
    pub fn admit(&self, admits: bool) {
        self.is_open.store(admits, Ordering::SeqCst);
        if admits {
            return;
        }
        for client in self.directory.all() {
            client.queue.end(Disconnect::SHUTDOWN);
        }
        for shard in &self.shards {
            let mut shard = shard.lock();
            for channel in shard.channels.values_mut() {
                channel.drop_history(&self.kept);
            }
        }
    }

    /// Returns whether clients are admitted.
    #[must_use]
    pub fn admits(&self) -> bool {
        self.is_open.load(Ordering::SeqCst)
    }

    /// Disconnects all clients, and admits none from now on.
    pub fn close(&self) {
        self.closing.cancel();
    }

    /// Drops expired histories and channels that are no longer needed. Must be called every few seconds.
    pub fn sweep(&self) {
        let now = Instant::now();
        for shard in &self.shards {
            let mut shard = shard.lock();
            let mut idle = 0;
            shard.channels.retain(|_, channel| {
                idle += usize::from(channel.expire(&self.kept, now));
                !channel.is_disposable(now)
            });
            if idle > IDLE {
                shard.channels.retain(|_, channel| !channel.expire(&self.kept, now));
            }
        }
    }

    fn namespaces(&self) -> Arc<Namespaces> {
        Arc::clone(&self.namespaces.read())
    }

    fn shard(&self, channel: &str) -> MutexGuard<'_, Shard> {
        let index = usize::try_from(self.hasher.hash_one(channel) % SHARDS as u64).unwrap_or_default();
        self.shards[index].lock()
    }
}

impl Shard {
    fn channel(&mut self, name: Arc<str>) -> &mut Channel {
        self.channels.entry(name).or_default()
    }
}
