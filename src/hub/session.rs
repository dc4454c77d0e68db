//! A session: handles the commands of one client in order, and decides how long it may stay.

mod command;
mod keepalive;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use super::Hub;
use super::authority::Authority;
use super::client::Client;
use super::code::{Disconnect, Refusal};
use super::protocol::{Command, Connect, refusal, reply};
use super::queue::Queue;
use super::subscription::RecoveryRequest;

pub use keepalive::AFTER_TOKEN;

/// The server side of a client's connection. Dropping it removes the client from the hub.
#[derive(Debug)]
pub struct Session<A: Authority> {
    hub: Arc<Hub>,
    client: Arc<Client>,
    authority: A,
    link: Mutex<Link>,
    changed: Notify,
    /// Held while a command of the client begins or ends a subscription: requests run concurrently, but channels must be counted, and
    /// recorded by the authority, one after the other.
    subscribing: tokio::sync::Mutex<()>,
    /// The id of this session and the name of the process, if the client sends its commands in separate requests.
    emulated: Option<(String, &'static str)>,
}

/// The state of the connection.
#[derive(Debug)]
struct Link {
    state: State,
    since: Instant,
    next_ping: Option<Instant>,
    /// When the ping was sent that has not been answered yet.
    pinged: Option<Instant>,
    /// When the connection expires, in Unix time.
    expires: Option<u64>,
    is_token: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Opening,
    Open,
    /// The client was refused, and must close the connection.
    Refused,
}

impl<A: Authority> Session<A> {
    /// Opens a session for a new connection; `None` if there are too many, or the hub admits no clients.
    pub fn open(hub: &Arc<Hub>, authority: A) -> Option<Self> {
        let link = Link {
            state: State::Opening,
            since: Instant::now(),
            next_ping: None,
            pinged: None,
            expires: None,
            is_token: false,
        };
        let before = hub.sessions.fetch_add(1, Ordering::SeqCst);
        let session = Self {
            hub: Arc::clone(hub),
            client: Arc::new(Client::new(hub.limits.queue)),
            authority,
            link: Mutex::new(link),
            changed: Notify::new(),
            subscribing: tokio::sync::Mutex::default(),
            emulated: None,
        };
        let is_admitted = before < hub.limits.clients && hub.admits() && !hub.closing.is_cancelled();
        is_admitted.then_some(session)
    }

    /// Makes it a session whose client sends its commands in separate requests, with `session`, which is secret, and the name of
    /// the process.
    #[must_use]
    pub fn emulated(mut self, session: &str, node: &'static str) -> Self {
        self.emulated = Some((session.to_owned(), node));
        self
    }

    /// Returns the queue of messages to the client.
    pub fn queue(&self) -> &Queue {
        &self.client.queue
    }

    /// Handles a frame: one command, or several separated by line feeds.
    ///
    /// # Errors
    /// When the client must be disconnected.
    pub async fn receive(&self, frame: &str) -> Result<(), Disconnect> {
        if frame.is_empty() {
            return Err(Disconnect::BAD_REQUEST);
        }
        for line in frame.split_terminator('\n') {
            // A client that is being disconnected can do nothing more, however slowly it reads the rest of its queue.
            if self.client.queue.has_ended() {
                return Ok(());
            }
            tokio::task::coop::consume_budget().await;
            let command: Command = serde_json::from_str(line).map_err(|_| Disconnect::BAD_REQUEST)?;
            self.handle(command).await?;
        }
        Ok(())
    }

    async fn handle(&self, command: Command) -> Result<(), Disconnect> {
        let state = self.link().state;
        match (state, &command.connect) {
            (State::Opening, Some(_)) | (State::Open, None) => {}
            _ => return Err(Disconnect::BAD_REQUEST),
        }
        if command.id == 0 && command.send.is_none() {
            return self.pong();
        }
        let id = command.id;
        if let Some(connect) = command.connect {
            return match self.connect(id, connect).await {
                Err(Refusal::Error(error)) => {
                    self.link().state = State::Refused;
                    self.client.queue.uncork(refusal(id, &error));
                    Ok(())
                }
                Err(Refusal::Disconnect(disconnect)) => Err(disconnect),
                Ok(()) => Ok(()),
            };
        }
        match self.command(id, command).await {
            Err(Refusal::Error(error)) => {
                self.client.queue.push(refusal(id, &error));
                Ok(())
            }
            Err(Refusal::Disconnect(disconnect)) => Err(disconnect),
            Ok(()) => Ok(()),
        }
    }

    async fn connect(&self, id: u32, connect: Connect) -> Result<(), Refusal> {
        let admission = self.authority.connect(&self.client.id, &connect.token).await?;
        let ttl = admission.expires.map(|expires| expires.saturating_sub(now()));
        if ttl == Some(0) {
            return Err(super::code::Error::EXPIRED.into());
        }
        self.client.identify(admission.user);
        self.hub.directory.add(&self.client);
        // Checked after it was added: otherwise a hub that closes meanwhile could miss it.
        if !self.hub.admits() {
            return Err(Disconnect::SHUTDOWN.into());
        }
        let namespaces = self.hub.namespaces();
        let mut subscribed = Vec::with_capacity(admission.channels.len());
        for name in admission.channels {
            let options = namespaces.of(&name)?;
            let none = RecoveryRequest::default();
            let past = connect.subs.get(&name).unwrap_or(&none);
            if let Some(answer) = self.hub.subscribe(&self.client, &name, options, past, None, None) {
                subscribed.push((name, answer));
            }
        }
        let ping = self.hub.limits.ping;
        let answer = reply(id, "connect", |answer| {
            answer.text("client", &self.client.id);
            answer.text("version", env!("CARGO_PKG_VERSION"));
            if admission.is_token {
                answer.flag("expires", ttl.is_some());
                answer.number("ttl", ttl.unwrap_or_default());
            }
            if !subscribed.is_empty() {
                answer.object("subs", |subs| {
                    for (name, subscribed) in &subscribed {
                        subs.object(name, |object| subscribed.write(object));
                    }
                });
            }
            answer.number("ping", ping.as_secs());
            answer.flag("pong", true);
            if let Some((session, node)) = &self.emulated {
                answer.text("session", session);
                answer.text("node", node);
            }
        });
        self.client.queue.uncork(answer);
        {
            let mut link = self.link();
            link.state = State::Open;
            link.expires = admission.expires;
            link.is_token = admission.is_token;
            // Clients that connect at the same time are not pinged at the same time.
            link.next_ping = Some(Instant::now() + ping.mul_f64(0.5 + fastrand::f64() / 2.0));
        }
        self.changed.notify_one();
        Ok(())
    }

    /// Handles the answer to a ping. An unsolicited one violates the protocol.
    fn pong(&self) -> Result<(), Disconnect> {
        let answered = self.link().pinged.take();
        answered.map(|_| ()).ok_or(Disconnect::BAD_REQUEST)
    }

    fn link(&self) -> MutexGuard<'_, Link> {
        self.link.lock()
    }
}

impl<A: Authority> Drop for Session<A> {
    fn drop(&mut self) {
        self.hub.remove(&self.client);
        self.hub.sessions.fetch_sub(1, Ordering::SeqCst);
        self.authority.closed(&self.client.id);
    }
}

/// Returns the Unix time in seconds.
pub(super) fn now() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or_default()
}
