//! From a saved row to a browser: Django, PostgreSQL, the triggers, the relay, Centrifugo and a WebSocket client, all real.

mod announced;
mod apply;
mod backup;
mod broadcast;
mod collapse;
mod command;
mod doctor;
mod encoding;
mod events;
mod faults;
mod giant;
mod grpc;
mod health;
mod lanes;
mod letters;
mod losses;
mod moves;
mod outages;
mod pages;
mod pause;
mod prepared;
mod promptness;
mod purge;
mod recovery;
mod related;
mod replay;
mod restore;
mod roles;
mod standby;
mod status;
mod tail;
mod tls;
mod unknown;

use instant::capture::DOZE_LOCK;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::centrifugo::Centrifugo;
use crate::support::client::Subscriber;
use crate::support::django::Django;
use crate::support::postgres::Cluster;
use crate::support::process::{Process, instant};
use crate::support::wait::SOON;

pub(crate) use replay::UNSETTLED;

/// Every part, with a subscriber to `public`.
pub(crate) struct Stack {
    pub(crate) django: Django,
    pub(crate) centrifugo: Centrifugo,
    relay: Process,
    pub(crate) public: Subscriber,
    pub(crate) folder: TempDir,
}

impl Stack {
    /// Applies and runs `watches`.
    pub(crate) async fn start(version: u32, watches: &str) -> Self {
        Self::on(Django::on(version).await, watches).await
    }

    /// The same on a cluster of its own: waiting for the end of transactions includes those of all its databases.
    async fn alone(version: u32, watches: &str) -> Self {
        let cluster = Cluster::start_new(version, &[]).await;
        Self::on(Django::new(&cluster).await, watches).await
    }

    /// The same on this project.
    async fn on(django: Django, watches: &str) -> Self {
        let centrifugo = Centrifugo::start_new().await;
        let public = Subscriber::anonymous(&centrifugo, &["public"]).await;
        let folder = tempfile::tempdir().unwrap();
        write_config(&folder, &django, &centrifugo, watches);
        let applied = instant(folder.path(), &["apply"], &[]).await;
        assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
        let relay = Process::instant(folder.path(), &["run", "--events"], &[]);
        relay.line("leading", SOON).await;
        Self {
            django,
            centrifugo,
            relay,
            public,
            folder,
        }
    }

    /// The events of `code`, up to the one of a marker that is saved after it.
    pub(crate) async fn events(&mut self, code: &str) -> Vec<Value> {
        self.django.run(code).await;
        self.django
            .run("Country.objects.create(code='marker', name='')\nCountry.objects.filter(code='marker').delete()")
            .await;
        let mut events = Vec::new();
        loop {
            let event = self.public.next(SOON).await.value();
            match (event["pk"] == "marker", event["op"] == "delete") {
                (true, true) => return events,
                (true, false) => {}
                (false, _) => events.push(event),
            }
        }
    }

    /// Stops the relay, which settles what is in flight.
    pub(crate) async fn stop(&mut self) {
        self.relay.signal("TERM").await;
        self.relay.wait(SOON).await;
    }

    /// Starts it again.
    pub(crate) async fn go_on(&mut self) {
        self.relay = Process::instant(self.folder.path(), &["run", "--events"], &[]);
        self.relay.line("leading", SOON).await;
    }

    /// Changes a part of the configuration.
    fn reconfigure(&self, from: &str, to: &str) {
        let path = self.folder.path().join("instant.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from} in {text}");
        std::fs::write(path, text.replacen(from, to, 1)).unwrap();
    }

    /// Runs a command, which must end with `code`; returns its output.
    async fn command(&self, arguments: &[&str], code: i32) -> String {
        let output = instant(self.folder.path(), arguments, &[]).await;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, error) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "instant {arguments:?}: {out}{error}");
        out + &error
    }

    /// Whether the relay sleeps.
    async fn sleeps(&self) -> bool {
        self.sleeper().await.is_some()
    }

    /// The server process of a sleeping relay, which holds the doze lock of its database.
    async fn sleeper(&self) -> Option<i32> {
        let held = format!(
            "select pid from pg_locks where locktype = 'advisory' and objsubid = 1 and mode = 'ExclusiveLock' and granted
             and (classid::bigint << 32) + objid::bigint = {DOZE_LOCK}
             and database = (select oid from pg_database where datname = current_database())"
        );
        let client = self.django.database.connect().await;
        client.query_opt(&held, &[]).await.unwrap().map(|row| row.get(0))
    }

    /// A number from the database.
    async fn count(&self, query: &str) -> i64 {
        self.django
            .database
            .connect()
            .await
            .query_one(query, &[])
            .await
            .unwrap()
            .get(0)
    }
}

fn write_config(folder: &TempDir, django: &Django, centrifugo: &Centrifugo, watches: &str) {
    let config = format!(
        "site = 'Shop'\n[database]\nurl = '{}'\n[centrifugo]\nurl = '{}'\napi_key = '{}'\n\
         [[watch]]\nmodel = 'shop.Country'\n[[watch.rule]]\ntarget = 'public'\n{watches}",
        django.database.url, centrifugo.url, centrifugo.api_key
    );
    std::fs::write(folder.path().join("instant.toml"), config).unwrap();
}

/// Operation and key of each event.
fn summary(events: &[Value]) -> Vec<(String, Value)> {
    events
        .iter()
        .map(|event| (event["event_class"].as_str().unwrap().to_owned(), event["pk"].clone()))
        .collect()
}

fn expect(events: &[Value], expected: &[(&str, Value)]) {
    let expected: Vec<_> = expected.iter().map(|(class, pk)| ((*class).to_owned(), pk.clone())).collect();
    assert_eq!(summary(events), expected, "{events:#?}");
}

pub(crate) const ORDERS: &str = "
[[watch]]
model = 'shop.Order'
fields = ['number', 'status', 'total', 'customer']
[[watch.rule]]
target = 'public'
[[watch]]
model = 'shop.OrderLine'
[[watch.rule]]
target = 'public'
[[watch]]
model = 'shop.Order.tags'
fields = ['order', 'tag']
[[watch.rule]]
target = 'public'
";

/// A rule that fails, one whose namespace is unknown, and one that works.
pub(crate) const FAILING: &str = "
[[watch]]
model = 'shop.Tag'
fields = ['name']
[[watch.rule]]
target = 'public'
event_class = 'Tag {{ verb }}'
message = '{{ row.name.nothing.there }}'
[[watch.rule]]
channel = 'nowhere:{{ pk }}'
[[watch.rule]]
target = 'public'
";
