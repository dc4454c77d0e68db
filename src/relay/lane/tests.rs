use super::*;
use crate::change::Operation;
use crate::mapping::{Origin, RuleName};
use crate::publisher::{BatchError, Reply};

/// Is never asked.
struct Nobody;

impl Publisher for Nobody {
    async fn publish(&self, _: &[&Publication]) -> Result<Vec<Reply>, BatchError> {
        Ok(Vec::new())
    }
}

fn item(change_id: i64) -> Item {
    let rule = RuleName {
        source: "public.shop_order".to_owned(),
        model: "shop.Order".to_owned(),
        number: 1,
    };
    let publication = Publication {
        origin: Origin {
            change_id,
            at: Timestamp::UNIX_EPOCH,
            operation: Operation::Update,
            rule: Arc::new(rule),
            left: false,
        },
        channel: "public".into(),
        event: Vec::new(),
        key: None,
        member: None,
    };
    Item {
        chunk: 0,
        channel: Channel::new("public"),
        publication,
    }
}

#[tokio::test]
async fn what_comes_together_while_a_lane_waits_goes_together() {
    let (to, queue) = mpsc::unbounded_channel();
    let mut lane = Lane::new(
        0,
        queue,
        Arc::new(Assignment::new(1)),
        Arc::new(Nobody),
        mpsc::channel(1).0,
        Arc::default(),
    );
    let gathered = tokio::spawn(async move { lane.gather().await.unwrap() });
    tokio::task::yield_now().await;
    for change_id in 1..=3 {
        to.send(item(change_id)).unwrap();
    }
    let ids: Vec<i64> = gathered
        .await
        .unwrap()
        .iter()
        .map(|item| item.publication.origin.change_id)
        .collect();
    assert_eq!(ids, [1, 2, 3]);
}
