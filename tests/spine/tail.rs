//! `tail`: changes as they are published.

use serde_json::{Value, json};

use super::{FAILING, Stack};
use crate::support::process::{Process, instant};
use crate::support::wait::{SOON, eventually};

const RULES: &str = "
[[watch]]
model = 'shop.Order'
fields = ['number', 'status', 'customer']
[[watch.rule]]
target = 'staff'
on = 'update'
changed = 'status'
[[watch.rule]]
target = 'users'
on = ['insert', 'delete']
when = 'row.status == \"paid\"'
";

async fn tail(stack: &Stack, arguments: &[&str]) -> Process {
    let tail = Process::instant(stack.folder.path(), &[&["tail"], arguments].concat(), &[]);
    tail.line("waiting for changes", SOON).await;
    tail
}

#[tokio::test(flavor = "multi_thread")]
async fn tail_shows_where_each_change_goes_or_why_it_goes_nowhere() {
    let mut stack = Stack::start(15, &format!("{RULES}{FAILING}")).await;
    let shown = tail(&stack, &[]).await;
    let lines = tail(&stack, &["--json", "--model", "shop.Order"]).await;
    let one = tail(&stack, &["--channel", "staff"]).await;
    stack
        .events(
            "o = Order.objects.create(number='A1')
o.number = 'A2'; o.save()
o.status = 'paid'; o.save()
Tag.objects.create(name='a')
Order.objects.all().delete()",
        )
        .await;
    for line in [
        "shop.Country \"marker\" insert → public  \"Country created\"",
        "→ nowhere: rule 1: `on` does not name it; rule 2: `when` does not match",
        "→ nowhere: rule 1: no field in `changed` has changed; rule 2: `on` does not name it",
        "shop.Order 1 update → staff  \"Order edited\"",
        "shop.Order 1 delete → users  \"Order deleted\"",
        "→ parked: rule 1: message: undefined value",
        "shop.Tag 1 insert → nowhere:1  \"Tag created\"",
    ] {
        shown.line(line, SOON).await;
    }
    let printed: Vec<Value> = eventually(SOON, "four lines of JSON", async || {
        let output = lines.output();
        let values: Vec<Value> = output.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        (values.len() == 4).then_some(values)
    })
    .await;
    assert_eq!(
        printed[0]["nowhere"],
        json!([[1, "`on` does not name it"], [2, "`when` does not match"]])
    );
    assert_eq!((&printed[2]["channel"], &printed[2]["rule"]), (&json!("staff"), &json!(1)));
    assert_eq!(printed[2]["event"]["data"]["status"], "paid");
    // What it must not show would come before the next line that it shows.
    stack
        .events("o = Order.objects.create(number='B1')\no.status = 'paid'; o.save()")
        .await;
    one.another_line("→ staff", 1, SOON).await;
    assert!(
        !one.output().contains("public") && !one.output().contains("nowhere"),
        "{}",
        one.output()
    );
    // It has published nothing: the subscriber heard each change once.
    assert!(stack.events("pass").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn tail_shows_a_message_by_hand_with_its_class() {
    let stack = Stack::start(18, RULES).await;
    let shown = tail(&stack, &[]).await;
    stack
        .command(
            &["send", "Back in five minutes", "--target", "staff", "--event-class", "notice"],
            0,
        )
        .await;
    shown.line("instant.broadcast broadcast → staff  \"notice\"", SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_nobody_watches_is_a_wrong_call_of_tail_and_of_replay() {
    let stack = Stack::start(18, RULES).await;
    for call in [&["tail"][..], &["replay", "--since", "1h"]] {
        let output = instant(stack.folder.path(), &[call, &["--model", "shop.Ordr"]].concat(), &[]).await;
        assert_eq!(output.status.code(), Some(2), "{call:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            said.contains("error: `shop.Ordr` is not watched: did you mean `shop.Order`?"),
            "{said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tail_neither_holds_up_the_relay_nor_grows() {
    let mut stack = Stack::start(18, "").await;
    let watching = tail(&stack, &["--channel", "none"]).await;
    let stopped = tail(&stack, &[]).await;
    stopped.signal("STOP").await;
    stack
        .django
        .run("Country.objects.bulk_create([Country(code=str(i), name='') for i in range(50000)], batch_size=5000)")
        .await;
    for _ in 0..50_000 {
        stack.public.next(SOON).await;
    }
    assert!(watching.try_peak_memory().is_some(), "{}", watching.output());
    // One that is stopped holds up nobody, and one that reads has not kept what passed.
    assert!(watching.peak_memory() < 64 << 20, "{} MB", watching.peak_memory() >> 20);
    stopped.signal("CONT").await;
    let events = stack.events("Country.objects.create(code='last', name='')").await;
    assert_eq!(events.len(), 1);
    stopped.line("\"last\"", SOON).await;
}
