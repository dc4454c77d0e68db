//! Whether browsers are connected to this process, or to another one that leads.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Web;
use crate::relay::Role;

/// The answer where nobody would hear what is published.
const ELSEWHERE: (StatusCode, &str) = (
    StatusCode::SERVICE_UNAVAILABLE,
    "this process does not lead, and nobody is connected to it: ask the one that leads\n",
);

impl Web {
    /// Whether what is published here is heard: by Centrifugo, or by a hub that lets browsers in.
    pub(super) fn is_heard(&self) -> bool {
        self.hub.as_ref().is_none_or(|hub| hub.admits())
    }

    /// Whether this process leads. One with a hub that has lost PostgreSQL does until it sends its browsers away.
    pub(super) fn leads(&self) -> bool {
        match &self.hub {
            Some(hub) => hub.admits(),
            None => self.monitor.health().role() == Role::Leading,
        }
    }
}

/// Lets requests pass that are of use where browsers are connected alone.
pub(super) async fn required(State(web): State<Arc<Web>>, request: Request, next: Next) -> Response {
    if web.is_heard() {
        next.run(request).await
    } else {
        elsewhere()
    }
}

/// The answer of a process that does not lead.
pub(super) fn elsewhere() -> Response {
    ELSEWHERE.into_response()
}
