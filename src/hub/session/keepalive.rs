//! How long a connection may stay: its client must authenticate in time, answer pings, and be refreshed.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Session, State, now};
use crate::hub::authority::Authority;
use crate::hub::code::{Disconnect, Refusal};

/// How many seconds a connection or subscription outlives its token, so that the client can send another, as in Centrifugo.
pub const AFTER_TOKEN: u64 = 25;
/// How many seconds after a failure a refresh is retried, as in Centrifugo.
const REFRESH_RETRY: u64 = 60;
/// The longest sleep while nothing is due.
const IDLE: Duration = Duration::from_mins(5);

/// The next action that is due.
enum Due {
    Nothing(Instant),
    Ping,
    Refresh,
    End(Disconnect),
}

impl<A: Authority> Session<A> {
    /// Pings and refreshes the connection until it must end.
    pub async fn supervise(&self) -> Disconnect {
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
                        Err(Refusal::Error(_)) => now() + REFRESH_RETRY,
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
            let margin = if link.is_token { AFTER_TOKEN } else { 0 };
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

    /// Ends the subscriptions whose token has expired.
    fn end_subscriptions(&self) {
        let now = now();
        let mut ended = Vec::new();
        for (name, subscription) in &*self.client.channels() {
            if subscription.expires.is_some_and(|expires| expires + AFTER_TOKEN < now) {
                ended.push(name.clone());
            }
        }
        for name in ended {
            self.hub.revoke(&self.client, &name, 2501, "subscription expired");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::Limits;
    use crate::hub::tests::{connected, hub, text};

    #[tokio::test]
    async fn a_client_that_answers_a_ping_in_time_stays_and_one_that_does_not_is_disconnected() {
        let session = connected(&hub(Limits::default())).await;
        let after = |seconds| Instant::now() + Duration::from_secs(seconds);
        assert!(matches!(session.due(after(25)), Due::Ping));
        assert!(matches!(session.due(after(32)), Due::Nothing(_)));
        session.receive("{}").await.unwrap();
        assert!(matches!(session.due(after(34)), Due::Nothing(_)));
        assert!(matches!(session.due(after(51)), Due::Ping));
        assert!(matches!(session.due(after(60)), Due::End(Disconnect { code: 3012, .. })));
    }

    #[tokio::test]
    async fn a_connection_ends_some_time_after_its_token_unless_its_client_sends_another() {
        let session = connected(&hub(Limits::default())).await;
        let ended = |seconds| {
            let mut link = session.link();
            (link.is_token, link.expires) = (true, Some(now() - seconds));
        };
        ended(1);
        assert!(matches!(session.due(Instant::now()), Due::Nothing(_)));
        ended(AFTER_TOKEN);
        assert!(matches!(session.due(Instant::now()), Due::End(Disconnect { code: 3005, .. })));
        session.receive(r#"{"refresh":{"token":"renewed"},"id":2}"#).await.unwrap();
        assert!(matches!(session.due(Instant::now()), Due::Nothing(_)));
    }

    #[tokio::test]
    async fn a_subscription_ends_some_time_after_its_token_unless_its_client_sends_another() {
        let limits = Limits {
            ping: Duration::from_millis(50),
            ..Limits::default()
        };
        let session = connected(&hub(limits)).await;
        for (room, seconds) in [("room:1", 1), ("room:2", AFTER_TOKEN + 1), ("room:3", AFTER_TOKEN + 1)] {
            let ask = format!(r#"{{"subscribe":{{"channel":"{room}","token":"short"}},"id":2}}"#);
            session.receive(&ask).await.unwrap();
            assert!(text(&session).await.contains(r#""expires":true,"ttl":1"#));
            session.client.channels().get_mut(room).unwrap().expires = Some(now() - seconds);
        }
        let refresh = r#"{"sub_refresh":{"channel":"room:3","token":"long"},"id":3}"#;
        session.receive(refresh).await.unwrap();
        let said = async {
            let mut said = String::new();
            while !said.contains("unsubscribe") {
                said += &text(&session).await;
            }
            said
        };
        let said = tokio::select! {
            said = tokio::time::timeout(Duration::from_secs(10), said) => said.expect("an end in time"),
            end = session.supervise() => panic!("{end:?}"),
        };
        assert!(said.contains(r#"{"id":3,"sub_refresh":{}}"#), "{said}");
        let ended = r#"{"push":{"channel":"room:2","unsubscribe":{"code":2501,"reason":"subscription expired"}}}"#;
        assert!(said.contains(ended), "{said}");
        assert_eq!(said.matches("unsubscribe").count(), 1, "{said}");
        assert!(session.client.hears("room:1") && session.client.hears("room:3"));
    }
}
