//! The parts of the scene, and what a fault does to them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::json;
use tempfile::TempDir;

use super::fault::{Fault, Round};
use super::listener::{Listener, MARKER};
use super::verdict::Deed;
use super::writer::{TABLES, Writers, Written};
use crate::support::centrifugo::Centrifugo;
use crate::support::postgres::{Cluster, Database};
use crate::support::process::{Process, instant};
use crate::support::proxy::{Mode, Proxy};
use crate::support::redis::Redis;
use crate::support::wait::{SOON, eventually};

/// The channels, which the lanes share.
const CHANNELS: i64 = 8;
/// The most publications that a subscriber may recover after an outage, and how many are kept.
const KEPT: u32 = 1_000_000;

/// The parts.
pub(super) struct Scene {
    database: Database,
    centrifugo: Centrifugo,
    redis: Option<Redis>,
    to_postgres: Proxy,
    to_centrifugo: Proxy,
    relays: [Process; 2],
    /// How often a relay was restarted because it had ended by itself.
    ended: u32,
    said: String,
    pub(super) listener: Listener,
    writers: Option<Writers>,
    folder: TempDir,
}

impl Scene {
    /// Starts all parts.
    pub(super) async fn start() -> Self {
        let database = Cluster::start_new(15, &[]).await.database().await;
        database.connect().await.batch_execute(TABLES).await.unwrap();
        let redis = Redis::start().await;
        let centrifugo = Centrifugo::with(server(redis.as_ref())).await;
        let (to_postgres, to_centrifugo) = (Proxy::to(&database.url).await, Proxy::to(&centrifugo.url).await);
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "[database]\nurl = '{}'\n[centrifugo]\nurl = '{}'\napi_key = '{}'\n\
             [[watch]]\ntable = 'account'\nfields = ['value']\n[[watch.rule]]\nchannel = 'log:{{{{ pk % {CHANNELS} }}}}'\n\
             data = ['value']\n",
            to_postgres.url(&database.url),
            to_centrifugo.url(&centrifugo.url),
            centrifugo.api_key
        );
        std::fs::write(folder.path().join("instant.toml"), config).unwrap();
        let applied = instant(folder.path(), &["apply"], &[]).await;
        assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
        let channels: Vec<String> = (0..CHANNELS).map(|number| format!("log:{number}")).collect();
        let listener = Listener::start(&centrifugo.ws_url, &channels);
        eventually(SOON, "the subscriptions", async || {
            listener.is_there(channels.len()).then_some(())
        })
        .await;
        let relays = [relay(&folder), relay(&folder)];
        let writers = Some(Writers::start(&database.url));
        Self {
            database,
            centrifugo,
            redis,
            to_postgres,
            to_centrifugo,
            relays,
            ended: 0,
            said: String::new(),
            listener,
            writers,
            folder,
        }
    }

    /// Whether publications outlive Centrifugo.
    pub(super) const fn has_lasting_broker(&self) -> bool {
        self.redis.is_some()
    }

    /// Injects a fault, and fixes it after its time.
    pub(super) async fn suffer(&mut self, round: Round) {
        self.raise().await;
        match round.fault {
            Fault::KillRelay(number) => {
                self.relays[number].signal("KILL").await;
                tokio::time::sleep(round.lasts).await;
                self.replace(number).await;
            }
            Fault::StopRelay(number) => {
                self.relays[number].signal("TERM").await;
                tokio::time::sleep(round.lasts).await;
                self.replace(number).await;
            }
            Fault::FreezeRelay(number) => {
                self.relays[number].signal("STOP").await;
                tokio::time::sleep(round.lasts).await;
                self.relays[number].signal("CONT").await;
            }
            Fault::KillCentrifugo => {
                self.centrifugo.stop().await;
                tokio::time::sleep(round.lasts).await;
                self.centrifugo.start().await;
            }
            Fault::CentrifugoAnswers(status) => through(&self.to_centrifugo, Mode::Answer(status), round).await,
            Fault::CutCentrifugo => through(&self.to_centrifugo, Mode::Cut, round).await,
            Fault::StallCentrifugo => through(&self.to_centrifugo, Mode::Stall, round).await,
            Fault::LoseReplies => through(&self.to_centrifugo, Mode::LoseReplies, round).await,
            Fault::CutPostgres => through(&self.to_postgres, Mode::Cut, round).await,
            Fault::StallPostgres => through(&self.to_postgres, Mode::Stall, round).await,
            Fault::TerminateRelays => self.terminate("application_name like 'instant %'").await,
            Fault::TerminateWriters => self.terminate("application_name = 'writer'").await,
            Fault::RestartPostgres => {
                self.database.cluster.stop().await;
                tokio::time::sleep(round.lasts).await;
                self.database.cluster.start().await;
            }
            Fault::CrashPostgres => {
                self.database.cluster.crash().await;
                tokio::time::sleep(round.lasts).await;
                self.database.cluster.start().await;
            }
        }
        tokio::time::sleep(round.then).await;
    }

    /// Restarts relays that have ended by themselves, as a service manager does: one that finds no database at its start.
    async fn raise(&mut self) {
        for number in 0..self.relays.len() {
            if self.relays[number].has_ended() {
                self.ended += 1;
                self.replace(number).await;
            }
        }
    }

    async fn replace(&mut self, number: usize) {
        let mut former = std::mem::replace(&mut self.relays[number], relay(&self.folder));
        if !former.has_ended() {
            // One that was asked to stop publishes what it holds first.
            former.wait(SOON).await;
        }
        let _ = writeln!(self.said, "--- relay {number} ended:\n{}", former.output());
    }

    async fn terminate(&self, whom: &str) {
        let statement = format!("select pg_terminate_backend(pid) from pg_stat_activity where {whom}");
        self.database.connect().await.batch_execute(&statement).await.unwrap();
    }

    /// Lets the writers finish; returns what they have done.
    pub(super) async fn end_writers(&mut self) -> Arc<Written> {
        self.raise().await;
        self.writers.take().expect("they write").stop().await
    }

    /// The committed changes, in order per row.
    pub(super) async fn truth(&self) -> Vec<Deed> {
        let query = "select operation, row_id, value from truth order by number";
        let rows = self.database.connect().await.query(query, &[]).await.unwrap();
        rows.iter()
            .map(|row| Deed {
                operation: row.get(0),
                row: row.get(1),
                value: row.get(2),
            })
            .collect()
    }

    /// The committed changes that have not been received yet.
    pub(super) fn missing(&self, truth: &[Deed]) -> BTreeSet<Deed> {
        let heard: BTreeSet<Deed> = self.listener.heard().into_iter().map(|heard| heard.deed).collect();
        truth.iter().filter(|deed| !heard.contains(deed)).cloned().collect()
    }

    /// Writes a row for each channel, and waits until all are received.
    pub(super) async fn mark(&mut self) {
        self.raise().await;
        let client = self.database.connect().await;
        let write = format!("insert into account (value) select '{MARKER}' from generate_series(1, {CHANNELS})");
        client.batch_execute(&write).await.unwrap();
        let wanted = usize::try_from(CHANNELS).unwrap();
        eventually(SOON, "the markers", async || {
            (self.listener.markers() == wanted).then_some(())
        })
        .await;
    }

    /// The injected faults, and their effects on the parts.
    pub(super) fn report(&self, rounds: &[Round]) -> String {
        let mut counts: BTreeMap<String, u32> = BTreeMap::new();
        for round in rounds {
            *counts.entry(format!("{:?}", round.fault)).or_default() += 1;
        }
        let mut report = String::new();
        for (fault, count) in counts {
            let _ = writeln!(report, "{fault:<24} {count}");
        }
        if !self.has_lasting_broker() {
            report.push_str(
                "Centrifugo was not killed: Redis is not installed, and without it Centrifugo forgets what it published\n",
            );
        }
        let peak = self
            .relays
            .iter()
            .filter_map(Process::try_peak_memory)
            .max()
            .unwrap_or_default();
        let _ = writeln!(
            report,
            "relays          {} ended by themselves and were started again; {} MB at most\nsubscriber      {} connections",
            self.ended,
            peak >> 20,
            self.listener.connections()
        );
        report
    }

    /// The relays' output.
    pub(super) fn logs(&self) -> String {
        let [first, second] = self.relays.each_ref().map(Process::output);
        format!("{}--- relay 0:\n{first}\n--- relay 1:\n{second}", self.said)
    }
}

fn relay(folder: &TempDir) -> Process {
    Process::instant(folder.path(), &["run"], &[])
}

async fn through(proxy: &Proxy, mode: Mode, round: Round) {
    let met = proxy.met();
    proxy.set(mode);
    tokio::time::sleep(round.lasts).await;
    assert!(!round.is_long() || proxy.met() > met, "nobody met {round}");
    proxy.set(Mode::Pass);
    if mode == Mode::Stall {
        // What was swallowed is not sent again by a network that is back.
        proxy.reset();
    }
}

/// Centrifugo's configuration: publications are kept in Redis, if installed, and a subscriber may recover all of them.
fn server(redis: Option<&Redis>) -> serde_json::Value {
    let namespace = json!({
        "name": "log",
        "allow_subscribe_for_client": true,
        "allow_subscribe_for_anonymous": true,
        "history_size": KEPT,
        "history_ttl": "1h",
        "force_recovery": true,
    });
    let mut config = json!({
        "channel": { "namespaces": [namespace] },
        "client": {
            "allowed_origins": ["*"],
            "queue_max_size": 64 << 20,
            "allow_anonymous_connect_without_token": true,
            "recovery_max_publication_limit": KEPT,
        },
    });
    if let Some(redis) = redis {
        config["engine"] = json!({ "type": "redis", "redis": { "address": redis.address } });
    }
    config
}
