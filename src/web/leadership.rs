//! Whether browsers are connected to this process or to another one, which leads.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Web;
use crate::relay::Role;

/// The answer if a publication would reach no subscriber.
const ELSEWHERE: (StatusCode, &str) = (
    StatusCode::SERVICE_UNAVAILABLE,
    "this process does not lead, and nobody is connected to it: ask the one that leads\n",
);

impl Web {
    /// Whether publications reach subscribers: through Centrifugo, or through a hub that admits browsers.
    pub(super) fn reaches_subscribers(&self) -> bool {
        self.hub.as_ref().is_none_or(|hub| hub.admits())
    }

    /// Whether this process leads. One with a hub that has lost PostgreSQL counts as leading until it disconnects its browsers.
    pub(super) fn leads(&self) -> bool {
        match &self.hub {
            Some(hub) => hub.admits(),
            None => self.monitor.health().role() == Role::Leading,
        }
    }
}

/// Accepts requests only in the process that browsers are connected to.
pub(super) async fn required(State(web): State<Arc<Web>>, request: Request, next: Next) -> Response {
    if web.reaches_subscribers() {
        next.run(request).await
    } else {
        elsewhere()
    }
}

/// The answer of a process that does not lead.
pub(super) fn elsewhere() -> Response {
    ELSEWHERE.into_response()
}
