use std::sync::Arc;
use std::time::Instant;

use serde_json::json;
use tokio::task::JoinSet;

use crate::support::site::Site;

#[expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
/// Sends `count` requests at once; returns the answers' codes and prints how long they took.
async fn burst(site: &Arc<Site>, cookie: &str, count: usize) -> Vec<u16> {
    let started = Instant::now();
    let mut asked = JoinSet::new();
    for number in 0..count {
        let (site, cookie) = (Arc::clone(site), cookie.to_owned());
        asked.spawn(async move {
            let begun = Instant::now();
            let (status, _) = site.ask("connect", &cookie, &json!({ "client": number.to_string() })).await;
            (status, begun.elapsed())
        });
    }
    let mut answers = asked.join_all().await;
    answers.sort_by_key(|(_, took)| *took);
    let place = |share: usize| answers[(count - 1) * share / 100].1;
    println!(
        "{count} connects in {:?}: median {:?}, 99 % within {:?}, slowest {:?}",
        started.elapsed(),
        place(50),
        place(99),
        place(100)
    );
    answers.into_iter().map(|(status, _)| status).collect()
}

async fn connections(site: &Site) -> i64 {
    let client = site.django.database.connect().await;
    let count =
        "select count(*) from pg_stat_activity where application_name = 'instant access' and datname = current_database()";
    client.query_one(count, &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_connects_is_answered_over_four_connections() {
    let site = Arc::new(Site::start(18, "").await);
    let cookie = format!("sessionid={}", site.new_user("user").await);
    let codes = burst(&site, &cookie, 300).await;
    assert!(codes.iter().all(|code| *code == 200), "{codes:?}");
    assert!((1..=4).contains(&connections(&site).await));
}

#[expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a benchmark: it prints figures"]
async fn two_thousand_connects_at_once() {
    let site = Arc::new(Site::start(18, "").await);
    let cookie = format!("sessionid={}", site.new_user("user").await);
    for _ in 0..3 {
        let codes = burst(&site, &cookie, 2000).await;
        let refused = codes.iter().filter(|code| **code != 200).count();
        println!(
            "told to try again: {refused}; database connections: {}",
            connections(&site).await
        );
    }
}
