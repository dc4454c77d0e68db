use parking_lot::Mutex;

use super::*;
use crate::publisher::{BatchError, Reply};

/// A publisher that takes at most two publications per request, and fails on the first one that it is sent.
#[derive(Default)]
struct Narrow {
    /// Whether the request after that one fails whole.
    breaks: bool,
    requests: Mutex<Vec<Vec<i64>>>,
}

impl Publisher for Narrow {
    async fn publish(&self, publications: &[&Publication]) -> Result<Vec<Reply>, BatchError> {
        if publications.len() > 2 {
            return Err(BatchError::Refused("too large".to_owned()));
        }
        let mut requests = self.requests.lock();
        requests.push(publications.iter().map(|publication| publication.origin.change_id).collect());
        if self.breaks && requests.len() == 2 {
            return Err(BatchError::Unavailable {
                reason: "for a moment".to_owned(),
                hint: None,
            });
        }
        let failed = || Rejection {
            code: 100,
            message: "internal error".to_owned(),
        };
        let fails = |index| requests.len() == 1 && index == 0;
        Ok((0..publications.len())
            .map(|index| if fails(index) { Err(failed()) } else { Ok(()) })
            .collect())
    }
}

fn item(change_id: i64, channel: &str) -> Item {
    Item {
        chunk: 0,
        channel: Channel::new(channel),
        publication: Publication::example(change_id, channel),
        attempts: 0,
    }
}

#[tokio::test]
async fn publications_that_arrive_together_while_a_lane_waits_are_sent_together() {
    let (to, queue) = mpsc::unbounded_channel();
    let mut lane = Lane::new(
        0,
        queue,
        Arc::new(Assignment::new(1)),
        Arc::new(Narrow::default()),
        mpsc::channel(1).0,
        Arc::default(),
    );
    let gathered = tokio::spawn(async move { lane.gather().await.unwrap() });
    tokio::task::yield_now().await;
    for change_id in 1..=3 {
        to.send(item(change_id, "public")).unwrap();
    }
    let ids: Vec<i64> = gathered
        .await
        .unwrap()
        .iter()
        .map(|item| item.publication.origin.change_id)
        .collect();
    assert_eq!(ids, [1, 2, 3]);
}

#[tokio::test]
async fn publications_after_a_failed_one_wait_for_it_although_a_request_was_halved() {
    for breaks in [false, true] {
        let publisher = Arc::new(Narrow {
            breaks,
            ..Narrow::default()
        });
        let assignment = Arc::new(Assignment::new(1));
        let (to, queue) = mpsc::unbounded_channel();
        for (change_id, channel) in [(1, "a"), (2, "b"), (3, "a"), (4, "b")] {
            assignment.lock().begin(Channel::new(channel));
            to.send(item(change_id, channel)).unwrap();
        }
        drop(to);
        let (ledger, _entries) = mpsc::channel(8);
        let lane = Lane::new(0, queue, assignment, Arc::clone(&publisher), ledger, Arc::default());
        lane.run().await;
        let requests = publisher.requests.lock().clone();
        assert_eq!(requests[..2], [vec![1, 2], vec![4]], "{requests:?}");
        assert_eq!(requests[2..].concat(), if breaks { vec![4, 1, 3] } else { vec![1, 3] });
    }
}
