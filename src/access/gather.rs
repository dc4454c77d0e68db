//! Batching of concurrent lookups: a burst of log-ins costs a few statements and not thousands.

use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Semaphore, oneshot};

use super::{Access, BATCH, Error, Proof, Who};

/// The most concurrent batches; each needs one connection at a time, and channel queries need some too.
const MAX_BATCHES: usize = 2;

type Waiting = (Proof, oneshot::Sender<Who>);

/// The lookups that wait for their turn.
#[derive(Debug)]
pub(super) struct Gather {
    waiting: Mutex<Vec<Waiting>>,
    turns: Arc<Semaphore>,
}

impl Default for Gather {
    fn default() -> Self {
        Self {
            waiting: Mutex::default(),
            turns: Arc::new(Semaphore::new(MAX_BATCHES)),
        }
    }
}

impl Gather {
    /// Returns the answer of `access` to `proof`, which is looked up together with those waiting, by whichever of them gets the next turn.
    pub(super) async fn answer(&self, access: &Access, proof: Proof) -> Result<Who, Error> {
        let (sender, mut receiver) = oneshot::channel();
        self.lock().push((proof.clone(), sender));
        let mut is_taken = false;
        loop {
            tokio::select! {
                biased;
                answer = &mut receiver => match answer {
                    Ok(who) => return Ok(who),
                    // The task that took it along has failed or was dropped.
                    Err(_) => return Ok(access.identify_all(&[&proof]).await?.pop().unwrap_or(Who::Visitor)),
                },
                turn = self.turns.acquire(), if !is_taken => {
                    let taken: Vec<Waiting> = {
                        let mut waiting = self.lock();
                        waiting.retain(|(_, sender)| !sender.is_closed());
                        let count = waiting.len().min(BATCH);
                        waiting.drain(..count).collect()
                    };
                    if taken.is_empty() {
                        // Another task has taken this lookup along, and answers it.
                        drop(turn);
                        is_taken = true;
                        continue;
                    }
                    let (proofs, senders): (Vec<Proof>, Vec<_>) = taken.into_iter().unzip();
                    for (who, sender) in access.identify_all(&proofs.iter().collect::<Vec<_>>()).await?.into_iter().zip(senders) {
                        // A task that was dropped needs no answer.
                        let _ = sender.send(who);
                    }
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::time::Duration;

    use super::*;
    use crate::config::{Config, Source};

    /// An authority whose database never answers.
    async fn silent() -> (Access, tokio::net::TcpListener) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let source = Source {
            path: "instant.toml".into(),
            text: format!(
                "[database]\nurl = 'postgres://a@{}/b'\n[django]\nsecret_key = 'k'\n",
                listener.local_addr().unwrap()
            )
            .into(),
        };
        let (config, problems) = Config::parse(source, &|_| None);
        let access = Access::new(&config.unwrap_or_else(|| panic!("{problems:?}"))).unwrap();
        (access, listener)
    }

    #[tokio::test]
    async fn a_lookup_that_was_taken_along_waits_for_its_answer_and_takes_no_turn() {
        let (access, _listener) = silent().await;
        let gather = Gather::default();
        let all = gather.turns.acquire_many(2).await.unwrap();
        let mut polls = 0;
        let mut first = pin!(gather.answer(&access, Proof::Key("1".to_owned())));
        let mut second = pin!(gather.answer(&access, Proof::Key("2".to_owned())));
        let mut both = pin!(poll_fn(|context| {
            polls += 1;
            assert!(first.as_mut().poll(context).is_pending());
            second.as_mut().poll(context)
        }));
        tokio::time::timeout(Duration::from_millis(10), &mut both).await.unwrap_err();
        drop(all);
        tokio::time::timeout(Duration::from_millis(200), &mut both).await.unwrap_err();
        assert!(gather.lock().is_empty() && gather.turns.available_permits() == 1);
        assert!(polls < 20, "{polls}");
    }
}
