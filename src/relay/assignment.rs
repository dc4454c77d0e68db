//! The assignment of channels to lanes.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use parking_lot::{Mutex, MutexGuard};

/// Channels and their lanes, shared by the outlet that hands publications on and the lanes that finish them.
#[derive(Debug)]
pub(super) struct Assignment(Mutex<UnderWay>);

/// The publications under way. A channel keeps its lane while any of its publications is under way, so that they stay in order. Without
/// one it has no lane, and its next publication goes to the lane with the fewest, among those that are not held up.
#[derive(Debug)]
pub(super) struct UnderWay {
    channels: HashMap<Channel, Bound>,
    lanes: Vec<Load>,
}

/// The load of a lane. The lane with the smallest load gets the next channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Load {
    /// Whether it is retrying a whole request.
    is_held_up: bool,
    publications: usize,
}

/// A channel by the hash of its name, which is shorter. Two channels with the same hash share a lane, as any two may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Channel(u64);

/// A channel's lane, and how many of its publications are in it.
#[derive(Clone, Copy, Debug)]
struct Bound {
    lane: usize,
    publications: usize,
}

impl Assignment {
    /// An assignment for this many lanes, with nothing under way.
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
    /// Records one more publication of the channel as under way, and returns its lane.
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

    /// Records that one of the channel's publications was published or parked.
    pub(super) fn end(&mut self, channel: Channel) {
        if let Some(bound) = self.channels.get_mut(&channel) {
            bound.publications -= 1;
            self.lanes[bound.lane].publications -= 1;
            if bound.publications == 0 {
                self.channels.remove(&channel);
            }
        }
    }

    /// Sets whether a whole request of the lane failed and is being retried.
    pub(super) fn hold_up(&mut self, lane: usize, is_held_up: bool) {
        self.lanes[lane].is_held_up = is_held_up;
    }
}

#[cfg(test)]
mod tests;
