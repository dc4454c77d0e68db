use proptest::prelude::*;

use super::*;

#[test]
fn a_channel_keeps_its_lane_while_anything_of_it_is_under_way() {
    let assignment = Assignment::new(2);
    let mut under_way = assignment.lock();
    let [first, second, third] = ["first", "second", "third"].map(Channel::new);
    assert_eq!([first, second].map(|channel| under_way.begin(channel)), [0, 1]);
    assert_eq!([first, first].map(|channel| under_way.begin(channel)), [0, 0]);
    under_way.end(first);
    under_way.end(first);
    under_way.end(second);
    // One is still in the first lane.
    assert_eq!(under_way.begin(first), 0);
    assert_eq!(under_way.begin(third), 1);
}

#[test]
fn a_lane_that_is_held_up_gets_no_channel_that_could_go_through_another() {
    let assignment = Assignment::new(8);
    let mut under_way = assignment.lock();
    let held = under_way.begin(Channel::new("held"));
    under_way.hold_up(held, true);
    let mut channels = (0..1_000).map(|number| Channel::new(&number.to_string()));
    for channel in channels.by_ref().take(500) {
        assert_ne!(under_way.begin(channel), held, "{channel:?}");
    }
    under_way.hold_up(held, false);
    assert_eq!(channels.next().map(|channel| under_way.begin(channel)), Some(held));
}

#[test]
fn lanes_that_are_all_held_up_share_new_channels() {
    let assignment = Assignment::new(2);
    let mut under_way = assignment.lock();
    for lane in [0, 1] {
        under_way.hold_up(lane, true);
    }
    assert_eq!(["a", "b"].map(|name| under_way.begin(Channel::new(name))), [0, 1]);
}

proptest! {
    #[test]
    fn lanes_change_only_where_no_order_is_at_stake(steps in prop::collection::vec((0..6_u64, any::<bool>()), 0..200)) {
        let assignment = Assignment::new(3);
        let mut under_way = assignment.lock();
        // The lanes of publications under way, by channel.
        let mut known: HashMap<u64, Vec<usize>> = HashMap::new();
        for (channel, begins) in steps {
            let lanes = known.entry(channel).or_default();
            if begins {
                let before = under_way.lanes.clone();
                let lane = under_way.begin(Channel(channel));
                if let Some(first) = lanes.first() {
                    prop_assert_eq!(lane, *first);
                } else {
                    prop_assert_eq!(Some(&before[lane]), before.iter().min());
                }
                lanes.push(lane);
            } else if lanes.pop().is_some() {
                under_way.end(Channel(channel));
            }
            let publications: usize = known.values().map(Vec::len).sum();
            prop_assert_eq!(under_way.lanes.iter().map(|load| load.publications).sum::<usize>(), publications);
            prop_assert_eq!(under_way.channels.len(), known.values().filter(|lanes| !lanes.is_empty()).count());
        }
    }
}
