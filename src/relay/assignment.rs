//! The assignment: which lane a channel's publications go through.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use parking_lot::{Mutex, MutexGuard};

/// Channels and their lanes, for the outlet that hands publications on and the lanes that finish them.
#[derive(Debug)]
pub(super) struct Assignment(Mutex<UnderWay>);

/// What is under way. A channel keeps its lane while anything of it is, so that its publications stay in order. With nothing under way
/// it has no lane, and its next publication goes to the one that has the fewest, of those that are not held up.
#[derive(Debug)]
pub(super) struct UnderWay {
    channels: HashMap<Channel, Bound>,
    lanes: Vec<Load>,
}

/// What a lane has to do. Of two lanes the smaller is to be given more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Load {
    /// Whether its request is sent again and again.
    is_held_up: bool,
    publications: usize,
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
            lanes: vec![Load::default(); lanes],
        }))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, UnderWay> {
        self.0.lock()
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
            let least = self.lanes.iter().enumerate().min_by_key(|(_, load)| **load);
            Bound {
                lane: least.map_or(0, |(lane, _)| lane),
                publications: 0,
            }
        });
        bound.publications += 1;
        self.lanes[bound.lane].publications += 1;
        bound.lane
    }

    /// One of the channel's publications is published or parked.
    pub(super) fn end(&mut self, channel: Channel) {
        if let Some(bound) = self.channels.get_mut(&channel) {
            bound.publications -= 1;
            self.lanes[bound.lane].publications -= 1;
            if bound.publications == 0 {
                self.channels.remove(&channel);
            }
        }
    }

    /// A request of the lane failed whole and is sent again, or no longer.
    pub(super) fn hold_up(&mut self, lane: usize, is_held_up: bool) {
        self.lanes[lane].is_held_up = is_held_up;
    }
}

#[cfg(test)]
mod tests;
