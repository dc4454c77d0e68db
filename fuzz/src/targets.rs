//! How each input is exercised. A panic, an endless loop or a broken promise is a finding.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::FutureExt as _;
use instant::access::cookie as session_cookie;
use instant::capture::watch::{Column, Destination, Encoding, Lookup, Relation, Rule, Watch};
use instant::change::{Change, Operation, Operations};
use instant::config::{self, Config, Source};
use instant::django::mac;
use instant::django::signing::{Keys, Signer, derived};
use instant::hub::code::Refusal;
use instant::hub::queue::Output;
use instant::hub::{Admission, Authority, Hub, Limits, Permit, Session};
use instant::mapping::{Found, LookupId, Mapping, RelatedRows};
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::value::RawValue;

/// The largest payload that a signed value may hold.
const LARGEST_PAYLOAD: usize = 1 << 20;
/// The largest input of rules: they come from the operator's file.
const LARGEST_RULES: usize = 16 << 10;

/// Any `instant.toml`: it is read, or every problem is reported with its position.
pub(super) fn configuration(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (config, problems) = parse(text);
    assert!(config.is_some() || problems.has_errors(), "rejected without a problem");
    for span in problems.items.iter().filter_map(|problem| problem.span.as_ref()) {
        assert!(
            text.get(span.clone()).is_some(),
            "a position outside of the file or inside of a character: {span:?}"
        );
    }
}

/// Rules, and the row before and after, separated by lines of `---`: each outcome is an event, or a failure with its reason.
pub(super) fn mapping(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut parts = text.split("\n---\n");
    let (Some(rules), old, new) = (
        parts.next().filter(|rules| rules.len() < LARGEST_RULES),
        parts.next(),
        parts.next(),
    ) else {
        return;
    };
    let toml = format!(
        "[database]\nurl = 'postgres://a'\n[[watch]]\ntable = 'thing'\nfields = ['a', 'b', 'owner']\n\
         related = {{ other = {{ column = 'owner', fields = ['x'] }} }}\n{rules}"
    );
    let (Some(config), _) = parse(&toml) else { return };
    let watches: Vec<Watch> = config.watches.iter().map(watch).collect();
    let Ok(mapping) = Mapping::compile(&watches, config.site.as_deref(), &config.prefix) else {
        return;
    };
    let is_row = |text: &&str| serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text).is_ok();
    let (old, new) = (old.filter(is_row), new.filter(is_row));
    let operation = match (old, new) {
        (None, Some(_)) => Operation::Insert,
        (Some(_), Some(_)) => Operation::Update,
        (Some(_), None) => Operation::Delete,
        (None, None) => Operation::Truncate,
    };
    let change = Change {
        id: 1,
        at: Timestamp::UNIX_EPOCH,
        source: "public.thing",
        operation,
        old,
        new,
    };
    let mut outcomes = Vec::new();
    mapping.map(&change, &Others::default(), &mut outcomes);
    for outcome in outcomes {
        match outcome {
            Ok(publication) => {
                let event: serde_json::Value = serde_json::from_slice(&publication.event).expect("an event is JSON");
                assert!(event["id"].is_string() && !publication.channel.is_empty());
            }
            Err(failure) => assert!(!failure.reason.is_empty()),
        }
    }
}

/// Rows of another table under every key, except for one that has none and one whose lookup fails.
#[derive(Debug)]
struct Others([Box<RawValue>; 1]);

impl Default for Others {
    fn default() -> Self {
        Self([RawValue::from_string("{\"é\":[1,null]}".to_owned()).expect("JSON")])
    }
}

impl RelatedRows for Others {
    fn row(&self, _: LookupId, key: &str) -> Found<'_> {
        match key {
            "1" => Found::Missing,
            "2" => Found::Failed("refused"),
            _ => Found::Row(&self.0),
        }
    }
}

/// A value as a browser may send it: only values that were signed here are read, and a payload stays within its limit.
pub(super) fn signed_value(input: &[u8]) {
    let keys = Keys {
        current: SecretString::from("a key"),
        fallbacks: vec![SecretString::from("an old key")],
    };
    let signer = Signer::new(&keys, "a salt");
    let text = String::from_utf8_lossy(input);
    assert!(signer.unsign(&text, None, 0).is_err(), "a forged value was read");
    let made = signer.sign(input, 1_700_000_000);
    if input.len() <= LARGEST_PAYLOAD {
        assert_eq!(signer.unsign(&made, None, 0).as_deref(), Ok(input));
    }
    // The same text with a valid signature, as from a site that signs what it should not.
    let key = derived("a saltsigner", &keys.current);
    let signature = URL_SAFE_NO_PAD.encode(mac::digest(&key, text.as_bytes()));
    if let Ok(payload) = signer.unsign(&format!("{text}:{signature}"), None, 0) {
        assert!(payload.len() <= LARGEST_PAYLOAD);
    }
}

/// A `Cookie` header.
pub(super) fn cookie(input: &[u8]) {
    let Ok(header) = std::str::from_utf8(input) else { return };
    if let Some(value) = session_cookie::value(&[header], "sessionid") {
        assert!(header.contains(&value) && !value.is_empty());
    }
}

/// Frames of a client, separated by empty lines: each is answered with JSON, or the client is disconnected.
pub(super) fn client_protocol(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let toml = "[database]\nurl = 'postgres://a'\n[channels.'room:{id}']\nallow = 'users'\npresence = true\npublish = 'users'\n\
                history = { size = 3, ttl = '1m' }\n";
    let (Some(config), _) = parse(toml) else { return };
    let hub = Arc::new(Hub::new(&config, Limits::default()));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let session = Session::open(&hub, Welcome).expect("there is room");
        for frame in text.split("\n\n") {
            let received = session.receive(frame).await;
            while let Some(Output::Frame(answer)) = session.queue().next().now_or_never() {
                for line in answer.split(|byte| *byte == b'\n') {
                    serde_json::from_slice::<serde_json::Value>(line).expect("an answer is JSON");
                }
            }
            if received.is_err() {
                return;
            }
        }
    });
    assert_eq!(hub.counts().clients, 0, "a client that is gone is still counted");
}

/// Admits everyone everywhere.
#[derive(Debug)]
struct Welcome;

impl Authority for Welcome {
    async fn connect(&self, _: &str, _: &str) -> Result<Admission, Refusal> {
        Ok(Admission {
            user: "1".to_owned(),
            channels: vec!["public".to_owned()],
            expires: None,
            is_token: false,
        })
    }

    async fn subscribe(&self, _: &str, _: &str, _: &str, _: &str) -> Result<Permit, Refusal> {
        Ok(Permit::default())
    }

    async fn refresh(&self, _: &str, _: &str, _: Option<&str>) -> Result<Option<u64>, Refusal> {
        Ok(None)
    }

    fn left(&self, _: &str, _: &str) {}

    fn closed(&self, _: &str) {}
}

fn parse(text: &str) -> (Option<Config>, config::diagnostic::Diagnostics) {
    let source = Source {
        path: "instant.toml".into(),
        text: text.into(),
    };
    Config::parse(source, &|name| (name == "SET").then(|| "a value".to_owned()))
}

/// A watch as it would be resolved against the database.
fn watch(watch: &config::Watch) -> Watch {
    let column = |name: &str| Column {
        name: name.to_owned(),
        data_type: "text".to_owned(),
        encoding: Encoding::Plain,
    };
    Watch {
        model: "thing".to_owned(),
        name: "thing".to_owned(),
        schema: "public".to_owned(),
        table: "thing".to_owned(),
        source: "public.thing".to_owned(),
        key: vec![column("id")],
        columns: ["a", "b", "owner"].map(column).to_vec(),
        related: vec![Relation {
            path: "other".to_owned(),
            column: column("owner"),
            lookup: Lookup {
                schema: "public".to_owned(),
                table: "other".to_owned(),
                key: column("id"),
                columns: vec![column("x")],
            },
        }],
        old: ["id", "a", "b", "owner"].map(column).to_vec(),
        operations: Operations::ROWS,
        rules: watch.rules.iter().map(rule).collect(),
        span: watch.subject.span.clone(),
    }
}

fn rule(rule: &config::Rule) -> Rule {
    let names = |names: &[config::Spanned<String>]| names.iter().map(|name| name.value.clone()).collect::<Vec<_>>();
    let data = rule.data.as_deref().map(names).unwrap_or_default();
    let (related_data, data) = data.into_iter().partition(|name: &String| name.contains('.'));
    Rule {
        on: rule.on,
        changed: names(&rule.changed),
        when: rule.when.clone(),
        follow: rule.follow,
        moved_by: ["id", "a", "b", "owner"].map(str::to_owned).to_vec(),
        destination: match &rule.destination {
            config::Destination::Channel(template) => Destination::Channel(template.clone()),
            config::Destination::Public => Destination::Public,
            config::Destination::Users => Destination::Users,
            config::Destination::Staff => Destination::Staff,
            config::Destination::Superuser => Destination::Superuser,
            config::Destination::Group(template) => Destination::Group(template.clone()),
            config::Destination::User(field) if field.value.contains('.') => Destination::RelatedUser(field.value.clone()),
            config::Destination::User(field) => Destination::User(field.value.clone()),
        },
        event_class: rule.event_class.clone(),
        message: rule.message.clone(),
        data,
        related_data,
        collapse: rule.collapse.clone(),
        span: rule.span.clone(),
    }
}
