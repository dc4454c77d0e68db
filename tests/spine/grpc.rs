//! Publications go to Centrifugo's gRPC API, and everything else is as over HTTP.

use serde_json::json;

use super::{FAILING, Stack, expect};
use crate::support::centrifugo::Centrifugo;
use crate::support::postgres::free_port;
use crate::support::process::Process;
use crate::support::proxy::{Mode, Proxy};
use crate::support::wait::{SOON, eventually};

impl Stack {
    /// Starts the relay again, with its publications sent to `url`.
    async fn publish_to(&mut self, url: &str) {
        self.relay.signal("TERM").await;
        self.relay.wait(SOON).await;
        self.reconfigure("api_key", &format!("grpc_url = '{url}'\napi_key"));
        self.relay = Process::instant(self.folder.path(), &["run"], &[]);
        self.relay.line("leading", SOON).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn by_grpc_an_outage_costs_no_event_and_repeats_none() {
    let mut stack = Stack::start(15, "").await;
    let proxy = Proxy::to(&stack.centrifugo.grpc_url).await;
    stack.publish_to(&proxy.url(&stack.centrifugo.grpc_url)).await;
    let outages = [
        (Mode::Cut, "gRPC API"),
        (Mode::LoseReplies, "the connection to Centrifugo's gRPC API broke"),
        (Mode::Answer(503), "gRPC API"),
        // Sooner than TCP itself gives up a connection on which nothing comes, and which no request is to meet again.
        (Mode::Stall, "Centrifugo's gRPC API did not answer in time"),
    ];
    for (number, (mode, says)) in outages.into_iter().enumerate() {
        let before = stack.relay.output().matches(says).count();
        proxy.set(mode);
        let write = |letter| format!("Country.objects.create(code='{number}{letter}', name='')");
        stack.django.run(&write("a")).await;
        eventually(SOON * 2, says, async || {
            (stack.relay.output().matches(says).count() > before).then_some(())
        })
        .await;
        stack.django.run(&write("b")).await;
        proxy.strand();
        proxy.set(Mode::Pass);
        let events = stack.events(&write("c")).await;
        let keys = ["a", "b", "c"].map(|letter| ("Country created", format!("{number}{letter}").into()));
        expect(&events, &keys);
    }
    assert!(stack.command(&["dead", "list"], 0).await.contains("no dead letters"));
}

#[tokio::test(flavor = "multi_thread")]
async fn by_grpc_what_centrifugo_refuses_is_parked_and_the_rest_goes_on() {
    let mut stack = Stack::start(18, FAILING).await;
    stack.reconfigure("model = 'shop.Country'", "model = 'shop.Country'\nfields = ['name']");
    stack.command(&["apply"], 0).await;
    stack.publish_to(&stack.centrifugo.grpc_url.clone()).await;
    let client = stack.django.database.connect().await;
    client
        .batch_execute("alter table shop_country alter column name type text")
        .await
        .unwrap();
    let large = "Country.objects.create(code='large', name='x' * (5 << 20))";
    let events = stack
        .events(&format!(
            "Tag.objects.create(name='a')\n{large}\nCountry.objects.create(code='small', name='')"
        ))
        .await;
    expect(&events, &[("Tag created", json!(1)), ("Country created", "small".into())]);
    eventually(SOON, "the dead letters", async || {
        (stack.count("select count(*) from instant.dead_letter").await == 3).then_some(())
    })
    .await;
    let letters = stack.command(&["dead", "list"], 0).await;
    for reason in ["unknown channel", "received message larger than max"] {
        assert!(letters.contains(reason), "{reason} in {letters}");
    }
    let output = stack.command(&["dead", "retry", "--channel", "nowhere:1"], 1).await;
    assert!(output.contains("refused again: 1"), "{output}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grpc_api_that_does_not_answer_or_take_the_key_is_found() {
    let mut stack = Stack::start(15, "").await;
    let mut grpc = stack.centrifugo.grpc_url.clone();
    stack.publish_to(&grpc).await;
    assert!(stack.command(&["doctor"], 0).await.contains("all is well"));
    let nobody = "http://127.0.0.1:1".to_owned();
    for other in [nobody, stack.centrifugo.url.clone()] {
        stack.reconfigure(&format!("grpc_url = '{grpc}'"), &format!("grpc_url = '{other}'"));
        let finding = stack.finding("centrifugo-unreachable", &[]).await;
        assert_eq!(finding["place"], "[centrifugo] grpc_url");
        assert!(finding["what"].as_str().unwrap().contains("gRPC API"), "{finding}");
        grpc = other;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_the_grpc_api_does_not_take_loses_nothing() {
    let api = json!({ "enabled": true, "address": "127.0.0.1", "port": free_port(), "key": "another" });
    let strict = Centrifugo::with(json!({ "grpc_api": api })).await;
    let mut stack = Stack::start(15, "").await;
    stack.publish_to(&strict.grpc_url).await;
    let finding = stack.finding("centrifugo-key", &[]).await;
    assert!(finding["fix"].as_str().unwrap().contains("grpc_api.key"), "{finding}");
    stack.django.run("Country.objects.create(code='a', name='')").await;
    stack.relay.line("is not the server's `grpc_api.key`", SOON).await;
    stack.reconfigure(&strict.grpc_url, &stack.centrifugo.grpc_url);
    stack.relay = Process::instant(stack.folder.path(), &["run"], &[]);
    let events = stack.events("Country.objects.create(code='b', name='')").await;
    expect(&events, &[("Country created", "a".into()), ("Country created", "b".into())]);
}
