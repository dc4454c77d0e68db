//! The commands of a connected client.

use super::{Session, now};
use crate::config::channel;
use crate::hub::authority::Authority;
use crate::hub::code::{Disconnect, Error, Refusal};
use crate::hub::namespaces::Options;
use crate::hub::protocol::{Command, History, Publish, SubRefresh, Subscribe, reply};
use crate::hub::queries::write_presence;
use crate::hub::stream::{MAX_RECOVERED, Position};
use crate::hub::{Draft, json};

impl<A: Authority> Session<A> {
    pub(super) async fn command(&self, id: u32, command: Command) -> Result<(), Refusal> {
        if command.send.is_some() {
            return Err(Disconnect::NOT_AVAILABLE.into());
        }
        if let Some(subscribe) = command.subscribe {
            return self.subscribe(id, &subscribe).await;
        }
        if let Some(unsubscribe) = command.unsubscribe {
            require_name(&unsubscribe.channel)?;
            let _turn = self.subscribing.lock().await;
            self.hub.leave(&self.client, &unsubscribe.channel);
            self.authority.left(&self.client.id, &unsubscribe.channel);
            self.client.queue.push(reply(id, "unsubscribe", |_| {}));
            return Ok(());
        }
        if let Some(publish) = command.publish {
            return self.publish(id, &publish).await;
        }
        if let Some(presence) = command.presence {
            return self.presence(id, &presence.channel);
        }
        if let Some(stats) = command.presence_stats {
            return self.presence_stats(id, &stats.channel);
        }
        if let Some(history) = command.history {
            return self.history(id, &history);
        }
        if let Some(refresh) = command.refresh {
            return self.refresh(id, &refresh.token).await;
        }
        if let Some(refresh) = command.sub_refresh {
            return self.sub_refresh(id, &refresh).await;
        }
        if command.rpc.is_some() {
            return Err(Error::NOT_AVAILABLE.into());
        }
        Err(Disconnect::BAD_REQUEST.into())
    }

    async fn subscribe(&self, id: u32, asked: &Subscribe) -> Result<(), Refusal> {
        require_name(&asked.channel)?;
        if asked.channel.len() > channel::MAX_BYTES {
            return Err(Error::BAD_REQUEST.into());
        }
        let _turn = self.subscribing.lock().await;
        let count = {
            let channels = self.client.channels();
            if channels.contains_key(asked.channel.as_str()) {
                return Err(Error::ALREADY_SUBSCRIBED.into());
            }
            channels.len()
        };
        if count >= self.hub.limits.channels {
            return Err(Error::LIMIT_EXCEEDED.into());
        }
        let options = self.hub.namespaces().of_named(&asked.channel)?;
        if asked.kind != 0 || asked.channel.starts_with('$') && asked.token.is_empty() {
            return Err(Error::PERMISSION_DENIED.into());
        }
        let permit = self
            .authority
            .subscribe(&self.client.id, self.client.user(), &asked.channel, &asked.token);
        let permit = permit.await?;
        if permit.expires.is_some_and(|expires| expires <= now()) {
            return Err(Error::EXPIRED.into());
        }
        let done = self
            .hub
            .subscribe(&self.client, &asked.channel, options, &asked.past, permit.expires, Some(id));
        done.map(drop).ok_or_else(|| Error::ALREADY_SUBSCRIBED.into())
    }

    async fn publish(&self, id: u32, asked: &Publish) -> Result<(), Refusal> {
        require_name(&asked.channel)?;
        let options = self.hub.namespaces().of_named(&asked.channel)?;
        let data = asked.data.as_ref().ok_or(Error::BAD_REQUEST)?;
        let is_allowed = match options.publish {
            None => false,
            Some(channel::Publish::Everyone) => self.client.hears(&asked.channel),
            Some(channel::Publish::Users) => self.client.hears(&asked.channel) && !self.client.user().is_empty(),
        };
        if !is_allowed {
            return Err(Error::PERMISSION_DENIED.into());
        }
        let info = self.client.info();
        let draft = Draft {
            data: data.get().as_bytes(),
            info: Some(&info),
            ..Draft::default()
        };
        self.hub.publish(&asked.channel, &draft).await?;
        self.client.queue.push(reply(id, "publish", |_| {}));
        Ok(())
    }

    fn presence(&self, id: u32, name: &str) -> Result<(), Refusal> {
        self.check_query(name, |options| options.presence)?;
        let present = self.hub.presence(name)?;
        let answer = reply(id, "presence", |object| {
            write_presence(object, &present);
        });
        self.client.queue.push(answer);
        Ok(())
    }

    fn presence_stats(&self, id: u32, name: &str) -> Result<(), Refusal> {
        self.check_query(name, |options| options.presence)?;
        let (clients, users) = self.hub.presence_stats(name)?;
        let answer = reply(id, "presence_stats", |object| {
            object.number("num_clients", clients as u64);
            object.number("num_users", users as u64);
        });
        self.client.queue.push(answer);
        Ok(())
    }

    fn history(&self, id: u32, asked: &History) -> Result<(), Refusal> {
        self.check_query(&asked.channel, |options| options.history.is_some())?;
        let mut range = asked.range();
        range.limit = Some(range.limit.unwrap_or(MAX_RECOVERED).min(MAX_RECOVERED));
        let (publications, position) = self.hub.history(&asked.channel, &range)?;
        let answer = reply(id, "history", |object| {
            write_history(object, &publications, &position);
        });
        self.client.queue.push(answer);
        Ok(())
    }

    async fn refresh(&self, id: u32, token: &str) -> Result<(), Refusal> {
        if token.is_empty() || !self.link().is_token {
            return Err(Disconnect::BAD_REQUEST.into());
        }
        let refreshed = self.authority.refresh(&self.client.id, self.client.user(), Some(token));
        let expires = refreshed.await?.ok_or(Disconnect::EXPIRED)?;
        let ttl = expires.saturating_sub(now());
        if ttl == 0 {
            return Err(Error::EXPIRED.into());
        }
        self.link().expires = Some(expires);
        self.changed.notify_one();
        let answer = reply(id, "refresh", |object| {
            object.text("client", &self.client.id);
            object.text("version", env!("CARGO_PKG_VERSION"));
            object.flag("expires", true);
            object.number("ttl", ttl);
        });
        self.client.queue.push(answer);
        Ok(())
    }

    async fn sub_refresh(&self, id: u32, asked: &SubRefresh) -> Result<(), Refusal> {
        require_name(&asked.channel)?;
        if !self.client.hears(&asked.channel) {
            return Err(Error::PERMISSION_DENIED.into());
        }
        if asked.token.is_empty() {
            return Err(Error::BAD_REQUEST.into());
        }
        let permit = self
            .authority
            .subscribe(&self.client.id, self.client.user(), &asked.channel, &asked.token);
        let permit = permit.await?;
        if let Some(subscription) = self.client.channels().get_mut(asked.channel.as_str()) {
            subscription.expires = permit.expires;
        }
        let answer = reply(id, "sub_refresh", |object| {
            object.flag("expires", permit.expires.is_some());
            object.number("ttl", permit.expires.unwrap_or_default().saturating_sub(now()));
        });
        self.client.queue.push(answer);
        Ok(())
    }

    /// Checks that the channel keeps the requested data, and that the client is subscribed to the channel.
    fn check_query(&self, name: &str, keeps: impl FnOnce(&Options) -> bool) -> Result<(), Refusal> {
        require_name(name)?;
        if !keeps(&self.hub.namespaces().of_named(name)?) {
            return Err(Error::NOT_AVAILABLE.into());
        }
        if !self.client.hears(name) {
            return Err(Error::PERMISSION_DENIED.into());
        }
        Ok(())
    }
}

/// Checks that a command about a channel names one.
const fn require_name(channel: &str) -> Result<(), Refusal> {
    if channel.is_empty() {
        return Err(Refusal::Disconnect(Disconnect::BAD_REQUEST));
    }
    Ok(())
}

fn write_history(object: &mut json::Object<'_>, publications: &[bytes::Bytes], position: &Position) {
    object.list("publications", publications);
    object.text("epoch", &position.epoch);
    object.number("offset", position.offset);
}
