//! The hub: Centrifugo's client protocol inside this process, for one process and in memory.
//!
//! ```text
//!  relay ──publish──▶ Hub ──▶ channel: number, keep, encode once ──▶ the queue of each client that listens ──▶ its socket
//!  socket ──frame──▶ Session ──▶ Authority: who is it, may it listen?
//! ```
//!
//! A channel is locked while it is published to or subscribed to, and never while something is waited for; what a client is sent is
//! put into its queue under that lock, so that the answer to a subscription stands before the first publication that is not in it.

mod authority;
mod channel;
mod client;
pub mod code;
mod directory;
mod inquiry;
pub mod json;
mod patience;
mod protocol;
mod publish;
mod publisher;
pub mod queue;
mod rules;
mod session;
mod stream;
mod subscription;
mod window;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::config::Config;
use channel::Channel;
use code::Disconnect;
use directory::Directory;
use patience::Patience;
use rules::Rules;
use window::Window;

pub use authority::{Admission, Authority, Permit};
pub use inquiry::Counts;
pub use publish::Draft;
pub use session::{AFTER_TOKEN, Session};
pub use stream::{Position, Range};

/// Locks that channels share. Publications of different channels seldom meet at one.
const SHARDS: usize = 64;

/// Channels of a shard that nobody listens to and that keep nothing but their numbering; when there are more, all of them are
/// forgotten, and clients that were away are told of a gap.
const IDLE: usize = 256;

/// What the hub may cost, and how long it waits.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once.
    pub clients: usize,
    /// Channels of one client.
    pub channels: usize,
    /// Bytes that wait for one client.
    pub queue: usize,
    /// Bytes of all histories.
    pub history: usize,
    /// Between two pings.
    pub ping: Duration,
    /// How long a client may take to answer one; shorter than what is between two.
    pub pong: Duration,
    /// How long a client may take to say who it is.
    pub stale: Duration,
}

/// Centrifugo's own defaults, where it has them.
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
    rules: RwLock<Arc<Rules>>,
    hasher: RandomState,
    shards: Box<[Mutex<Shard>]>,
    /// Locked inside of a shard.
    window: Mutex<Window>,
    directory: Directory,
    /// Connections, also those that have not said who they are.
    sessions: AtomicUsize,
    /// The bytes of all histories.
    kept: AtomicUsize,
    /// Clients may come.
    is_open: AtomicBool,
    closing: CancellationToken,
    patience: Patience,
    started: Instant,
}

/// Some of the channels.
#[derive(Debug, Default)]
struct Shard {
    channels: HashMap<Arc<str>, Channel>,
}

impl Hub {
    /// An empty hub with the channel rules of `config`.
    #[must_use]
    pub fn new(config: &Config, limits: Limits) -> Self {
        Self {
            limits,
            rules: RwLock::new(Arc::new(Rules::new(config))),
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            window: Mutex::default(),
            directory: Directory::default(),
            sessions: AtomicUsize::new(0),
            kept: AtomicUsize::new(0),
            is_open: AtomicBool::new(true),
            closing: CancellationToken::new(),
            patience: Patience::new(Instant::now()),
            started: Instant::now(),
        }
    }

    /// Puts the rules of a file that was read again in place. Open subscriptions stay as they are.
    pub fn reload(&self, config: &Config) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Rules::new(config));
    }

    /// Disconnects a user's connection, or all of them without `client`.
    pub fn disconnect(&self, user: &str, client: Option<&str>, disconnect: &Disconnect) {
        for client in self.directory.of(user, client) {
            client.queue.end(disconnect.clone());
        }
    }

    /// Disconnects all connections of a user but those called `kept`.
    pub fn disconnect_others(&self, user: &str, kept: &[&str], disconnect: &Disconnect) {
        for client in self.directory.of(user, None) {
            if !kept.contains(&&*client.id) {
                client.queue.end(disconnect.clone());
            }
        }
    }

    /// Ends the subscription to `channel` of a user's connection, or of all of them without `client`.
    pub fn unsubscribe(&self, user: &str, client: Option<&str>, channel: &str) {
        for client in self.directory.of(user, client) {
            self.revoke(&client, channel, 2000, "server unsubscribe");
        }
    }

    /// Lets clients in, or not: then those that are there are to connect again, elsewhere, and the histories end. What others publish
    /// meanwhile is not in them, so that whoever comes back later has a gap.
    pub fn admit(&self, admits: bool) {
        self.is_open.store(admits, Ordering::SeqCst);
        if admits {
            return;
        }
        for client in self.directory.all() {
            client.queue.end(Disconnect::SHUTDOWN);
        }
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            for channel in shard.channels.values_mut() {
                channel.forget(&self.kept);
            }
        }
    }

    /// Whether clients may come.
    #[must_use]
    pub fn admits(&self) -> bool {
        self.is_open.load(Ordering::SeqCst)
    }

    /// Disconnects everyone, and lets nobody in any more.
    pub fn close(&self) {
        self.closing.cancel();
    }

    /// Drops histories that are too old, and channels that are of no use any more. To be called every few seconds.
    pub fn sweep(&self) {
        let now = Instant::now();
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            let mut idle = 0;
            shard.channels.retain(|_, channel| {
                idle += usize::from(channel.expire(&self.kept, now));
                !channel.is_forgotten(now)
            });
            if idle > IDLE {
                shard.channels.retain(|_, channel| !channel.expire(&self.kept, now));
            }
        }
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn shard(&self, channel: &str) -> MutexGuard<'_, Shard> {
        let place = usize::try_from(self.hasher.hash_one(channel) % SHARDS as u64).unwrap_or_default();
        self.shards[place].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    fn channel(&mut self, name: Arc<str>) -> &mut Channel {
        self.channels.entry(name).or_default()
    }
}
