//! Many questions at once, asked together: a burst of log-ins costs a few statements and not thousands.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Semaphore, oneshot};

use super::{Access, BATCH, Error, Proof, Who};

/// Batches under way at once; each needs one connection at a time, and channel queries need some too.
const AT_ONCE: usize = 2;

type Waiting = (Proof, oneshot::Sender<Who>);

/// The questions that wait for their turn.
#[derive(Debug)]
pub(super) struct Gather {
    waiting: Mutex<Vec<Waiting>>,
    turns: Arc<Semaphore>,
}

impl Default for Gather {
    fn default() -> Self {
        Self {
            waiting: Mutex::default(),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }
}

impl Gather {
    /// The answer to `proof`, asked of `access` with those that wait meanwhile, by whichever of them gets the next turn.
    pub(super) async fn answer(&self, access: &Access, proof: Proof) -> Result<Who, Error> {
        let (sender, mut receiver) = oneshot::channel();
        self.lock().push((proof.clone(), sender));
        loop {
            tokio::select! {
                biased;
                answer = &mut receiver => match answer {
                    Ok(who) => return Ok(who),
                    // Whoever asked for it has failed or gone.
                    Err(_) => return Ok(access.identify_all(&[proof]).await?.pop().unwrap_or(Who::Visitor)),
                },
                turn = self.turns.acquire() => {
                    let taken: Vec<Waiting> = {
                        let mut waiting = self.lock();
                        waiting.retain(|(_, sender)| !sender.is_closed());
                        let count = waiting.len().min(BATCH);
                        waiting.drain(..count).collect()
                    };
                    if taken.is_empty() {
                        // Another has taken this question along.
                        drop(turn);
                        continue;
                    }
                    let (proofs, senders): (Vec<Proof>, Vec<_>) = taken.into_iter().unzip();
                    for (who, sender) in access.identify_all(&proofs).await?.into_iter().zip(senders) {
                        // Who has gone needs no answer.
                        let _ = sender.send(who);
                    }
                }
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
