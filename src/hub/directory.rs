//! The connections, by identifier and by user.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use super::client::Client;

/// The authenticated connections.
#[derive(Debug, Default)]
pub(super) struct Directory {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    clients: HashMap<Arc<str>, Arc<Client>>,
    users: HashMap<String, HashSet<Arc<str>>>,
}

impl Directory {
    pub(super) fn add(&self, client: &Arc<Client>) {
        let mut inner = self.lock();
        inner.clients.insert(Arc::clone(&client.id), Arc::clone(client));
        inner
            .users
            .entry(client.user().to_owned())
            .or_default()
            .insert(Arc::clone(&client.id));
    }

    pub(super) fn remove(&self, client: &Client) {
        let mut inner = self.lock();
        inner.clients.remove(&client.id);
        if let Some(names) = inner.users.get_mut(client.user()) {
            names.remove(&client.id);
            if names.is_empty() {
                inner.users.remove(client.user());
            }
        }
    }

    /// Returns the connections of a user, or only the one named `client`.
    pub(super) fn of(&self, user: &str, client: Option<&str>) -> Vec<Arc<Client>> {
        let inner = self.lock();
        if let Some(client) = client {
            let found = inner.clients.get(client).filter(|found| found.user() == user);
            return found.cloned().into_iter().collect();
        }
        let names = inner.users.get(user).into_iter().flatten();
        names.filter_map(|name| inner.clients.get(name).cloned()).collect()
    }

    /// Returns all connections.
    pub(super) fn all(&self) -> Vec<Arc<Client>> {
        self.lock().clients.values().cloned().collect()
    }

    /// Returns the number of connections and of users.
    pub(super) fn count(&self) -> (usize, usize) {
        let inner = self.lock();
        (inner.clients.len(), inner.users.len())
    }

    /// Returns the users with the most connections, and their number.
    pub(super) fn users(&self, limit: usize) -> Vec<(String, usize)> {
        let inner = self.lock();
        largest(inner.users.iter().map(|(user, names)| (user.clone(), names.len())), limit)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock()
    }
}

/// Returns the `limit` entries with the largest numbers, ordered by name among equals.
pub(super) fn largest<T: Ord>(numbered: impl Iterator<Item = (T, usize)>, limit: usize) -> Vec<(T, usize)> {
    let mut all: Vec<_> = numbered.collect();
    all.sort_unstable_by(|(a, most), (b, more)| more.cmp(most).then_with(|| a.cmp(b)));
    all.truncate(limit);
    all
}
