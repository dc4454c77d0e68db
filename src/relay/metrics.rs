//! The metrics of a relay, in the Prometheus text format. `docs/metrics.md` lists them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::health::{Health, Role};
use crate::mapping::RuleName;
use crate::outbox::Depth;

/// Buckets of lags, in seconds: a commit reaches Centrifugo within milliseconds, and an outage lasts for minutes.
const LAGS: [f64; 17] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0,
];
/// Buckets of the changes in a window, and of the publications in a batch.
const COUNTS: [f64; 9] = [1.0, 2.0, 5.0, 10.0, 50.0, 200.0, 1_000.0, 10_000.0, 100_000.0];

/// The metrics of a running relay.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// The metrics of [`Database`], except whether it is up.
    asked: Registry,
    /// Whether PostgreSQL has ever answered.
    is_known: AtomicBool,
    health: Health,
    pub(super) changes: Counter,
    pub(super) collapsed: Counter,
    pub(super) unknown: Counter,
    pub(super) windows: Histogram,
    pub(super) batches: Histogram,
    pub(super) retries: Counter,
    pub(super) dozes: Counter,
    pub(super) notifications: Counter,
    pub(super) announced: Counter,
    pub(super) reconnections: Counter,
    lags: Family<Model, Histogram, fn() -> Histogram>,
    parked: Family<Model, Counter>,
    leading: Gauge,
    lag: Gauge<f64, AtomicU64>,
    database: Database,
}

/// The metrics that are queried from the database.
#[derive(Debug, Default)]
struct Database {
    up: Gauge,
    backlog: Gauge,
    backlog_lag: Gauge<f64, AtomicU64>,
    outbox: Gauge,
    dead_letters: Gauge,
    lost: Counter,
}

/// The label of metrics by model.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Model {
    model: String,
}

impl From<&RuleName> for Model {
    fn from(rule: &RuleName) -> Self {
        Self {
            model: rule.model.clone(),
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("instant"),
            asked: Registry::with_prefix("instant"),
            is_known: AtomicBool::new(false),
            health: Health::default(),
            changes: Counter::default(),
            collapsed: Counter::default(),
            unknown: Counter::default(),
            windows: Histogram::new(COUNTS),
            batches: Histogram::new(COUNTS),
            retries: Counter::default(),
            dozes: Counter::default(),
            notifications: Counter::default(),
            announced: Counter::default(),
            reconnections: Counter::default(),
            lags: Family::new_with_constructor(|| Histogram::new(LAGS)),
            parked: Family::default(),
            leading: Gauge::default(),
            lag: Gauge::default(),
            database: Database::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let to = &mut self.registry;
        to.register("build", "The version", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        to.register(
            "leading",
            "1 while this relay publishes, 0 while it is a standby or connects",
            self.leading.clone(),
        );
        to.register("changes", "Changes read from the outbox", self.changes.clone());
        to.register(
            "collapsed",
            "Changes that became one publication with others of their transaction",
            self.collapsed.clone(),
        );
        to.register(
            "unknown",
            "Changes of tables that no watch of the running rules covers",
            self.unknown.clone(),
        );
        to.register("window_changes", "Changes of a window that had any", self.windows.clone());
        to.register(
            "batch_publications",
            "Publications of a request to the publisher",
            self.batches.clone(),
        );
        to.register("retries", "Publications that were sent again", self.retries.clone());
        to.register(
            "parked",
            "Changes and publications that became dead letters",
            self.parked.clone(),
        );
        to.register("dozes", "How often the relay fell asleep", self.dozes.clone());
        to.register("notifications", "How often a commit woke it", self.notifications.clone());
        to.register(
            "announced",
            "Changes that were published from their announcement, before they were read",
            self.announced.clone(),
        );
        to.register("reconnections", "How often it lost PostgreSQL", self.reconnections.clone());
        let lags = self.lags.clone();
        to.register_with_unit(
            "publish_lag",
            "From a change's write to the publisher's answer",
            Unit::Seconds,
            lags,
        );
        let lag = self.lag.clone();
        to.register_with_unit(
            "unsettled_lag",
            "Age of the oldest change that was read and is not settled",
            Unit::Seconds,
            lag,
        );
        let Database {
            up,
            backlog,
            backlog_lag,
            outbox,
            dead_letters,
            lost,
        } = &self.database;
        to.register(
            "database_up",
            "1 when PostgreSQL has answered for the metrics below",
            up.clone(),
        );
        let to = &mut self.asked;
        to.register(
            "backlog_changes",
            "Changes after the stored cursor, counted to 100000",
            backlog.clone(),
        );
        let help = "Age of the oldest change after the stored cursor";
        to.register_with_unit("backlog_lag", help, Unit::Seconds, backlog_lag.clone());
        to.register_with_unit("outbox", "Size of the outbox with its index", Unit::Bytes, outbox.clone());
        to.register("dead_letters", "Dead letters in the database", dead_letters.clone());
        to.register(
            "lost_changes",
            "Changes that triggers gave up so that a write could continue",
            lost.clone(),
        );
    }

    /// The relay's health.
    #[must_use]
    pub const fn health(&self) -> &Health {
        &self.health
    }

    /// Renders everything as text, with the latest values from the database. Those are left out until it has first answered: a count
    /// of lost changes that began at 0 would look as if they were lost now.
    #[must_use]
    pub fn render(&self, depth: Option<&Depth>) -> String {
        self.leading.set((self.health.role() == Role::Leading).into());
        self.lag.set(self.health.lag().as_secs_f64());
        let database = &self.database;
        database.up.set(depth.is_some().into());
        if let Some(depth) = depth {
            database.backlog.set(depth.backlog.changes);
            database.backlog_lag.set(depth.backlog.lag_seconds);
            database.outbox.set(depth.outbox.bytes);
            database.dead_letters.set(depth.dead_letters);
            let lost = u64::try_from(depth.lost.counted).unwrap_or_default();
            database.lost.inner().store(lost, Ordering::Relaxed);
            self.is_known.store(true, Ordering::Relaxed);
        }
        let mut rendered = String::new();
        // Writing to a String cannot fail.
        let _ = text::encode_registry(&mut rendered, &self.registry);
        if self.is_known.load(Ordering::Relaxed) {
            let _ = text::encode_registry(&mut rendered, &self.asked);
        }
        let _ = text::encode_eof(&mut rendered);
        rendered
    }

    pub(super) fn parked(&self, rule: &RuleName) {
        self.parked.get_or_create(&Model::from(rule)).inc();
    }

    /// A recorder of lags, which looks a model up once for consecutive publications.
    pub(super) const fn lags(&self) -> Lags<'_> {
        Lags {
            metrics: self,
            last: None,
        }
    }
}

/// A recorder of lags.
pub(super) struct Lags<'a> {
    metrics: &'a Metrics,
    last: Option<(Arc<RuleName>, Histogram)>,
}

impl Lags<'_> {
    /// Records that a publication of a change written at `at` was taken at `now`.
    pub(super) fn record(&mut self, rule: &Arc<RuleName>, at: Timestamp, now: Timestamp) {
        let known = self.last.take().filter(|(last, _)| Arc::ptr_eq(last, rule));
        let (rule, histogram) = known.unwrap_or_else(|| {
            let found = self.metrics.lags.get_or_create_owned(&Model::from(&**rule));
            (Arc::clone(rule), found)
        });
        let lag = Duration::try_from(now.duration_since(at)).unwrap_or_default();
        histogram.observe(lag.as_secs_f64());
        self.last = Some((rule, histogram));
    }
}
