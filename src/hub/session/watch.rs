//! How long a client may stay: it says who it is in time, answers pings, and is refreshed.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::super::authority::Authority;
use super::super::code::{Disconnect, Refusal};
use super::{Session, State, now};

/// How much later than its token a connection or subscription ends, so that a client can bring another, as in Centrifugo.
const MARGIN: u64 = 25;
/// When a connection is asked about again that nothing could be said of, as in Centrifugo.
const AGAIN: u64 = 60;
/// While there is nothing to do.
const IDLE: Duration = Duration::from_mins(5);

/// What is due.
enum Due {
    Nothing(Instant),
    Ping,
    Refresh,
    End(Disconnect),
}

impl<A: Authority> Session<A> {
    /// Watches over the connection until it is to be cut off.
    pub async fn watch(&self) -> Disconnect {
        loop {
            match self.due(Instant::now()) {
                Due::Nothing(next) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(next.into()) => {}
                        () = self.changed.notified() => {}
                        () = self.hub.closing.cancelled() => return Disconnect::SHUTDOWN,
                    }
                }
                Due::Ping => {
                    self.client.queue.push(Bytes::from_static(b"{}"));
                    self.end_subscriptions();
                }
                Due::Refresh => {
                    let refreshed = self.authority.refresh(&self.client.id, self.client.user(), None);
                    let expires = match refreshed.await {
                        Ok(Some(expires)) => expires,
                        Ok(None) => return Disconnect::EXPIRED,
                        Err(Refusal::Error(_)) => now() + AGAIN,
                        Err(Refusal::Disconnect(disconnect)) => return disconnect,
                    };
                    self.link().expires = Some(expires);
                }
                Due::End(disconnect) => return disconnect,
            }
        }
    }

    fn due(&self, now: Instant) -> Due {
        let limits = &self.hub.limits;
        let mut link = self.link();
        if link.state != State::Open {
            let end = link.since + limits.stale;
            return if end <= now {
                Due::End(Disconnect::STALE)
            } else {
                Due::Nothing(end)
            };
        }
        let mut next = now + IDLE;
        if let Some(pinged) = link.pinged {
            let end = pinged + limits.pong;
            if end <= now {
                return Due::End(Disconnect::NO_PONG);
            }
            next = next.min(end);
        }
        if let Some(expires) = link.expires {
            let margin = if link.is_token { MARGIN } else { 0 };
            let left = (expires + margin).saturating_sub(super::now());
            if left == 0 {
                return if link.is_token {
                    Due::End(Disconnect::EXPIRED)
                } else {
                    Due::Refresh
                };
            }
            next = next.min(now + Duration::from_secs(left));
        }
        if let Some(ping) = link.next_ping {
            if ping <= now {
                link.next_ping = Some(now + limits.ping);
                link.pinged = Some(now);
                return Due::Ping;
            }
            next = next.min(ping);
        }
        Due::Nothing(next)
    }

    /// Ends the subscriptions whose token has ended.
    fn end_subscriptions(&self) {
        let now = now();
        let mut ended = Vec::new();
        for (name, subscription) in &*self.client.channels() {
            if subscription.expires.is_some_and(|expires| expires + MARGIN < now) {
                ended.push(name.clone());
            }
        }
        for name in ended {
            self.hub.revoke(&self.client, &name, 2501, "subscription expired");
        }
    }
}
