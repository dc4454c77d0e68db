//! The assignment: which lane a channel's publications go through.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Channels and their lanes, for the outlet that hands publications on and the lanes that finish them.
#[derive(Debug)]
pub(super) struct Assignment(Mutex<UnderWay>);

/// What is under way. A channel keeps its lane while anything of it is, so that its publications stay in order. With nothing under way
/// it has no lane, and its next publication goes to the one that has the fewest: a lane that Centrifugo holds up gets no other channels.
#[derive(Debug)]
pub(super) struct UnderWay {
    channels: HashMap<Channel, Bound>,
    /// The publications in each lane.
    lanes: Vec<usize>,
}

/// A channel by its hash, which is shorter than its name. Two that share one share a lane, as any two may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Channel(u64);

/// A channel's lane, and how many of its publications are in it.
#[derive(Clone, Copy, Debug)]
struct Bound {
    lane: usize,
    publications: usize,
}

impl Assignment {
    /// Nothing is under way in any of so many lanes.
    pub(super) fn new(lanes: usize) -> Self {
        Self(Mutex::new(UnderWay {
            channels: HashMap::new(),
            lanes: vec![0; lanes],
        }))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, UnderWay> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Channel {
    pub(super) fn new(name: &str) -> Self {
        Self(BuildHasherDefault::<DefaultHasher>::default().hash_one(name))
    }
}

impl UnderWay {
    /// One more publication of the channel is under way: in this lane.
    pub(super) fn begin(&mut self, channel: Channel) -> usize {
        let bound = self.channels.entry(channel).or_insert_with(|| {
            let fewest = self.lanes.iter().enumerate().min_by_key(|(_, publications)| **publications);
            Bound {
                lane: fewest.map_or(0, |(lane, _)| lane),
                publications: 0,
            }
        });
        bound.publications += 1;
        self.lanes[bound.lane] += 1;
        bound.lane
    }

    /// One of the channel's publications is published or parked.
    pub(super) fn end(&mut self, channel: Channel) {
        if let Some(bound) = self.channels.get_mut(&channel) {
            bound.publications -= 1;
            self.lanes[bound.lane] -= 1;
            if bound.publications == 0 {
                self.channels.remove(&channel);
            }
        }
    }
}

#[cfg(test)]
mod tests;
