//! Whether the process is alive and ready, and its metrics.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use secrecy::SecretString;
use serde_json::json;
use tokio::sync::Mutex;

use super::Web;
use crate::outbox::{Depth, Error, Operator};
use crate::relay::{Health, Metrics};

/// The format of the metrics: <https://prometheus.io/docs/specs/om/open_metrics_spec/>.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The query of `/readyz` that finds the leader.
const LEADING: &str = "leading";
/// How long an answer of the database is cached: scrapes by several servers query it once.
const CACHED: Duration = Duration::from_secs(5);
/// How long the database may take: Prometheus times out after ten seconds.
const TIMEOUT: Duration = Duration::from_secs(3);

/// The state of the relay, and of the database when queried.
#[derive(Debug)]
pub(super) struct Monitor {
    metrics: Arc<Metrics>,
    database: SecretString,
    ready_lag: Duration,
    depth: Mutex<Option<(Instant, Option<Depth>)>>,
}

impl Monitor {
    pub(super) fn new(metrics: Arc<Metrics>, database: SecretString, ready_lag: Duration) -> Self {
        Self {
            metrics,
            database,
            ready_lag,
            depth: Mutex::default(),
        }
    }

    pub(super) fn health(&self) -> &Health {
        self.metrics.health()
    }

    /// What waits in the database; `None` if it does not answer. Concurrent callers share one query.
    pub(super) async fn depth(&self) -> Option<Depth> {
        let mut kept = self.depth.lock().await;
        if let Some((at, depth)) = &*kept
            && at.elapsed() < CACHED
        {
            return depth.clone();
        }
        let depth = match tokio::time::timeout(TIMEOUT, ask(&self.database)).await {
            Ok(Ok(depth)) => Some(depth),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the metrics of the database are omitted");
                None
            }
            Err(_) => None,
        };
        *kept = Some((Instant::now(), depth.clone()));
        depth
    }
}

async fn ask(database: &SecretString) -> Result<Depth, Error> {
    Operator::connect(database).await?.depth().await
}

/// 200 while the relay leads with a lag below the limit, or stands by; 503 otherwise. With `?leading`, 200 only from the leader, whatever
/// its lag: there is no other process to use instead.
pub(super) async fn ready(State(web): State<Arc<Web>>, RawQuery(query): RawQuery) -> Response {
    let health = web.monitor.health();
    let (role, lag) = (health.role(), health.lag());
    let is_ready = if query.as_deref() == Some(LEADING) {
        web.leads()
    } else {
        role.is_settled() && lag < web.monitor.ready_lag
    };
    let status = if is_ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let answer = json!({ "role": role, "lag_seconds": lag.as_secs_f64() });
    (status, Json(answer)).into_response()
}

/// Serves the metrics.
pub(super) async fn metrics(State(web): State<Arc<Web>>) -> Response {
    let depth = web.monitor.depth().await;
    let rendered = web.monitor.metrics.render(depth.as_ref());
    ([(CONTENT_TYPE, OPEN_METRICS)], rendered).into_response()
}
