//! The same frames sent to the real Centrifugo and to the hub, and the same answers.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::wire::Wire;
use crate::support::site::Site;

const ROOMS: &str = "
[channels.'room:{id}']
allow = 'users'
history = { size = 5, ttl = '1m' }
presence = true
publish = 'users'
[channels.'plain:{id}']
allow = 'users'
[channels.'kept:{id}']
allow = 'everyone'
history = { size = 5, ttl = '1m' }
recover = false
";

/// One server's answers, by request.
type Said = Vec<(String, Value)>;

/// Values that differ between the servers.
#[derive(Default)]
struct Names(HashMap<String, String>);

impl Names {
    /// The value with names in place of such values, numbered in the order of their first mention.
    fn normal(&mut self, value: Value) -> Value {
        match value {
            Value::Array(values) => values.into_iter().map(|value| self.normal(value)).collect(),
            Value::Object(fields) => {
                let mut normal = serde_json::Map::new();
                for (key, value) in fields {
                    let is_name = key.len() == 36 && key.matches('-').count() == 4;
                    let value = match (key.as_str(), value) {
                        ("version", _) => json!("VERSION"),
                        ("client" | "epoch", Value::String(name)) => json!(self.name(name)),
                        (_, value) => self.normal(value),
                    };
                    normal.insert(if is_name { self.name(key) } else { key }, value);
                }
                Value::Object(normal)
            }
            other => other,
        }
    }

    fn name(&mut self, name: String) -> String {
        let next = format!("NAME {}", self.0.len());
        self.0.entry(name).or_insert(next).clone()
    }
}

/// A conversation: each frame with the number of messages that must answer it.
async fn talk(wire: &mut Wire, frames: &[(&str, usize)], said: &mut Said) {
    for (frame, count) in frames {
        let answer = wire.ask(frame, *count).await;
        said.push(((*frame).to_owned(), answer.into()));
    }
}

/// Runs the script against both and compares their answers.
async fn compare(script: impl AsyncFn(&Site, &mut Said)) {
    let mut both = Vec::new();
    for site in [Site::start(18, ROOMS).await, Site::on_hub(18, ROOMS).await] {
        let mut said = Said::new();
        script(&site, &mut said).await;
        let mut names = Names::default();
        both.push(
            said.into_iter()
                .map(|(asked, answer)| (asked, names.normal(answer)))
                .collect::<Vec<_>>(),
        );
    }
    let differences: Vec<String> = (both[0].iter().zip(&both[1]))
        .filter(|(centrifugo, hub)| centrifugo != hub)
        .map(|((asked, centrifugo), (_, hub))| format!("{asked}\n  Centrifugo: {centrifugo}\n  the hub:    {hub}"))
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert_eq!(both[0].len(), both[1].len());
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_and_their_refusals_are_answered_as_centrifugo_does() {
    compare(async |site, said| {
        let cookie = site.new_user("a").await;
        for cookie in [cookie.as_str(), "", "forged"] {
            let mut wire = Wire::open(site, cookie).await;
            let long = format!(r#"{{"subscribe":{{"channel":"room:{}"}},"id":23}}"#, "1".repeat(251));
            let frames = [
                (r#"{"connect":{"name":"js","version":"1","data":{"a":1}},"id":1}"#, 1),
                (r#"{"subscribe":{"channel":"room:1"},"id":2}"#, if cookie.len() > 6 { 2 } else { 1 }),
                (r#"{"subscribe":{"channel":"room:1"},"id":3}"#, 1),
                (r#"{"subscribe":{"channel":"public"},"id":4}"#, 1),
                (r#"{"subscribe":{"channel":"staff"},"id":5}"#, 1),
                (r#"{"subscribe":{"channel":"unknown:1"},"id":6}"#, 1),
                (r#"{"subscribe":{"channel":"$room:1"},"id":7}"#, 1),
                (r#"{"subscribe":{"channel":"room:1#2"},"id":8}"#, 1),
                (r#"{"subscribe":{"channel":"room:é"},"id":9}"#, 1),
                (r#"{"subscribe":{"channel":"plain:1","recoverable":true,"positioned":true,"join_leave":true,"flag":1},"id":10}"#, 1),
                (r#"{"subscribe":{"channel":"kept:1","recover":true,"offset":7,"epoch":"x"},"id":11}"#, 1),
                ("{\"presence\":{\"channel\":\"plain:1\"},\"id\":12}\n{\"history\":{\"channel\":\"plain:1\"},\"id\":13}\n", 2),
                (r#"{"presence":{"channel":"room:2"},"id":14}"#, 1),
                (r#"{"presence":{"channel":"room:1"},"id":15}"#, 1),
                (r#"{"presence_stats":{"channel":"room:1"},"id":16}"#, 1),
                (r#"{"history":{"channel":"room:2"},"id":17}"#, 1),
                (r#"{"history":{"channel":"unknown:2"},"id":18}"#, 1),
                (r#"{"publish":{"channel":"plain:1","data":{}},"id":19}"#, 1),
                (r#"{"publish":{"channel":"room:2","data":{}},"id":20}"#, 1),
                (r#"{"rpc":{"method":"x","data":{}},"id":21}"#, 1),
                (r#"{"sub_refresh":{"channel":"room:2","token":"x"},"id":22}"#, 1),
                (&long, 1),
                (r#"{"unsubscribe":{"channel":"plain:1"},"id":24}"#, 1),
                (r#"{"unsubscribe":{"channel":"never:1"},"id":25}"#, 1),
                (r#"{"subscribe":{"channel":"plain:1"},"id":26}"#, 1),
                (r#"{"unsubscribe":{"channel":"public"},"id":27}"#, 1),
                (r#"{"subscribe":{"channel":"room:3","type":1},"id":28,"unknown":{"a":[]}}"#, 1),
                (r#"{"subscribe":{"channel":"$$room:1"},"id":29}"#, 1),
            ];
            talk(&mut wire, &frames, said).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_the_protocol_is_cut_off_as_by_centrifugo() {
    compare(async |site, said| {
        let cookie = site.new_user("a").await;
        for frame in [
            r#"{"subscribe":{"channel":"public"},"id":1}"#,
            "{}",
            "",
            "\n",
            "x",
            "[]",
            "{",
            r#"{"connect":{}}"#,
            r#"{"connect":{},"id":-1}"#,
            r#"{"connect":{"token":7},"id":1}"#,
            r#"{"connect":{"token":"a.b.c"},"id":1}"#,
            r#"{"id":1}"#,
        ] {
            let mut wire = Wire::open(site, &cookie).await;
            talk(&mut wire, &[(frame, 1)], said).await;
        }
        for frame in [
            r#"{"connect":{},"id":2}"#,
            "{}",
            "",
            "\n",
            r#"{"id":2}"#,
            r#"{"ping":{},"id":2}"#,
            r#"{"subscribe":{},"id":2}"#,
            r#"{"subscribe":{"channel":""},"id":2}"#,
            r#"{"unsubscribe":{},"id":2}"#,
            r#"{"publish":{"data":{}},"id":2}"#,
            r#"{"presence":{},"id":2}"#,
            r#"{"history":{},"id":2}"#,
            r#"{"refresh":{},"id":2}"#,
            r#"{"refresh":{"token":"x"},"id":2}"#,
            r#"{"sub_refresh":{"token":"x"},"id":2}"#,
            r#"{"send":{"data":{}}}"#,
            "{\"unsubscribe\":{\"channel\":\"x\"},\"id\":2}\n\n",
        ] {
            let (mut wire, answer) = Wire::connect(site, &cookie).await;
            said.push(("connect".to_owned(), answer));
            // What was answered before the end comes before it.
            let count = 1 + usize::from(frame.ends_with("\n\n"));
            talk(&mut wire, &[(frame, count)], said).await;
        }
        let large = format!(r#"{{"rpc":{{"data":"{}"}},"id":2}}"#, "x".repeat(70_000));
        let (mut wire, _) = Wire::connect(site, &cookie).await;
        let answer = wire.ask(&large, 1).await;
        said.push(("a frame that is too large".to_owned(), json!(answer.last().unwrap()["id"])));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn history_and_recovery_are_centrifugos() {
    compare(async |site, said| {
        let cookie = site.new_user("a").await;
        let (mut wire, _) = Wire::connect(site, &cookie).await;
        talk(&mut wire, &[(r#"{"subscribe":{"channel":"room:1"},"id":2}"#, 2)], said).await;
        for number in 1..=7 {
            let body = json!({ "channel": "room:1", "data": { "n": number }, "tags": { "t": "1" } });
            said.push(("publish".to_owned(), site.centrifugo.call("publish", &body).await));
            said.push(("a push".to_owned(), wire.take(1).await.into()));
        }
        let frames = [
            (r#"{"history":{"channel":"room:1"},"id":3}"#, 1),
            (r#"{"history":{"channel":"room:1","limit":-1},"id":4}"#, 1),
            (r#"{"history":{"channel":"room:1","limit":2},"id":5}"#, 1),
            (r#"{"history":{"channel":"room:1","limit":2,"reverse":true},"id":6}"#, 1),
            (r#"{"history":{"channel":"room:1","limit":9,"since":{"offset":5}},"id":7}"#, 1),
            (r#"{"history":{"channel":"room:1","limit":9,"since":{"offset":1}},"id":8}"#, 1),
            (
                r#"{"history":{"channel":"room:1","limit":9,"since":{"offset":99}},"id":9}"#,
                1,
            ),
            (
                r#"{"history":{"channel":"room:1","limit":9,"since":{"offset":5},"reverse":true},"id":10}"#,
                1,
            ),
            (
                r#"{"history":{"channel":"room:1","limit":9,"since":{"offset":0},"reverse":true},"id":11}"#,
                1,
            ),
            (
                r#"{"history":{"channel":"room:1","limit":9,"since":{"offset":5,"epoch":"other"}},"id":12}"#,
                1,
            ),
            (
                r#"{"history":{"channel":"room:1","limit":9,"since":{"offset":0}},"id":13}"#,
                1,
            ),
        ];
        talk(&mut wire, &frames, said).await;
        let history = site
            .centrifugo
            .call("history", &json!({ "channel": "room:1", "limit": 1 }))
            .await;
        let epoch = history["result"]["epoch"].as_str().unwrap().to_owned();
        said.push(("history".to_owned(), history));
        for (offset, epoch) in [
            (7, epoch.as_str()),
            (5, epoch.as_str()),
            (2, epoch.as_str()),
            (1, epoch.as_str()),
            (0, epoch.as_str()),
            (9, epoch.as_str()),
            (5, ""),
            (0, ""),
            (5, "other"),
            (7, "other"),
        ] {
            let (mut wire, _) = Wire::connect(site, &cookie).await;
            let ask = json!({ "id": 2, "subscribe": { "channel": "room:1", "recover": true, "offset": offset, "epoch": epoch } });
            let answer = wire.ask(&ask.to_string(), 1).await;
            said.push((format!("recovery from {offset}"), answer.into()));
        }
        let nothing = json!({ "channel": "room:9", "limit": 5 });
        said.push(("history".to_owned(), site.centrifugo.call("history", &nothing).await));
        let mut first = json!({ "channel": "room:1", "data": 1, "idempotency_key": "k" });
        said.push(("first".to_owned(), site.centrifugo.call("publish", &first).await));
        first["data"] = json!(2);
        said.push(("again".to_owned(), site.centrifugo.call("publish", &first).await));
        first["channel"] = json!("room:2");
        said.push(("another channel".to_owned(), site.centrifugo.call("publish", &first).await));
        talk(
            &mut wire,
            &[(r#"{"history":{"channel":"room:1","limit":1,"reverse":true},"id":14}"#, 2)],
            said,
        )
        .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn presence_and_publications_of_clients_are_centrifugos() {
    compare(async |site, said| {
        let (first, second) = (site.new_user("a").await, site.new_user("b").await);
        let (mut one, _) = Wire::connect(site, &first).await;
        talk(&mut one, &[(r#"{"subscribe":{"channel":"room:1"},"id":2}"#, 2)], said).await;
        let (mut two, _) = Wire::connect(site, &second).await;
        talk(&mut two, &[(r#"{"subscribe":{"channel":"room:1"},"id":2}"#, 2)], said).await;
        said.push(("who joins".to_owned(), one.take(1).await.into()));
        talk(
            &mut one,
            &[
                (r#"{"presence":{"channel":"room:1"},"id":3}"#, 1),
                (r#"{"presence_stats":{"channel":"room:1"},"id":4}"#, 1),
            ],
            said,
        )
        .await;
        let stats = site.centrifugo.call("presence_stats", &json!({ "channel": "room:1" })).await;
        said.push(("presence_stats".to_owned(), stats));
        let presence = site.centrifugo.call("presence", &json!({ "channel": "room:1" })).await;
        said.push(("presence".to_owned(), presence));
        // The publication and the answer to it come in either order.
        let mut published = two.ask(r#"{"publish":{"channel":"room:1","data":{"x":1}},"id":5}"#, 2).await;
        published.sort_by_key(|message| message["id"].as_u64());
        said.push(("publish".to_owned(), published.into()));
        said.push(("heard".to_owned(), one.take(1).await.into()));
        talk(&mut two, &[(r#"{"unsubscribe":{"channel":"room:1"},"id":6}"#, 1)], said).await;
        said.push(("who leaves".to_owned(), one.take(1).await.into()));
        talk(&mut two, &[(r#"{"subscribe":{"channel":"room:1"},"id":7}"#, 2)], said).await;
        said.push(("who joins again".to_owned(), one.take(1).await.into()));
        drop(two);
        said.push(("who is gone".to_owned(), one.take(1).await.into()));
        let cut = json!({ "user": "1", "channel": "room:1" });
        said.push(("unsubscribe".to_owned(), site.centrifugo.call("unsubscribe", &cut).await));
        said.push(("unsubscribed".to_owned(), one.take(1).await.into()));
        said.push((
            "disconnect".to_owned(),
            site.centrifugo.call("disconnect", &json!({ "user": "1" })).await,
        ));
        said.push(("disconnected".to_owned(), one.take(1).await.into()));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_answers_as_centrifugos_does() {
    compare(async |site, said| {
        for (method, body) in [
            ("publish", json!({ "channel": "public", "data": {} })),
            ("publish", json!({ "channel": "unknown:1", "data": {} })),
            ("publish", json!({ "channel": "", "data": {} })),
            ("publish", json!({ "channel": "public" })),
            ("publish", json!({ "channel": "room:1", "data": 1 })),
            ("publish", json!({ "channel": "room:1", "data": 1, "skip_history": true })),
            (
                "broadcast",
                json!({ "channels": ["room:2", "unknown:1", "public", ""], "data": 1, "idempotency_key": "k" }),
            ),
            ("broadcast", json!({ "channels": [], "data": 1 })),
            (
                "batch",
                json!({ "commands": [
                    { "publish": { "channel": "room:3", "data": 1 } },
                    { "publish": { "channel": "unknown:3", "data": 1 } },
                    { "broadcast": { "channels": ["room:3", "room:4"], "data": 2 } },
                    { "presence": { "channel": "room:3" } },
                    { "presence": { "channel": "plain:3" } },
                    { "history": { "channel": "room:3", "limit": 10 } },
                    { "presence_stats": { "channel": "room:3" } },
                ] }),
            ),
            ("batch", json!({ "commands": [] })),
            ("presence", json!({ "channel": "room:1" })),
            ("presence", json!({})),
            ("history", json!({ "channel": "room:1", "limit": 10 })),
            ("history", json!({ "channel": "room:1" })),
            ("history", json!({ "channel": "plain:1" })),
            ("unsubscribe", json!({ "user": "9", "channel": "room:1" })),
        ] {
            let asked = format!("{method} {body}");
            said.push((asked, site.centrifugo.call(method, &body).await));
        }
        let info = site.centrifugo.call("info", &json!({})).await;
        said.push(("info".to_owned(), json!(info["result"]["nodes"].as_array().unwrap().len())));
        for (key, body) in [("a wrong key", "{}"), ("an api key", "{"), ("an api key", r#"{"channel":7}"#)] {
            let request = site.http.post(format!("{}/api/publish", site.centrifugo.url));
            let reply = request.header("X-API-Key", key).body(body).send().await.unwrap();
            said.push((format!("{key} {body}"), json!(reply.status().as_u16())));
        }
    })
    .await;
}
