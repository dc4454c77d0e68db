//! What is said where it cannot be known who may listen.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::access::{self, Error};

/// The answer where there is none: try again.
pub(super) fn unavailable(error: &Error) -> Response {
    told(error);
    (StatusCode::SERVICE_UNAVAILABLE, "try again\n").into_response()
}

/// Tells the operator alone why there is no answer; that too much is asked, once a second.
pub(super) fn told(error: &Error) {
    static TOLD: AtomicU64 = AtomicU64::new(0);
    let now = access::now();
    if matches!(error, Error::Busy) && TOLD.swap(now, Ordering::Relaxed) == now {
        return;
    }
    tracing::warn!(error = %chain(error), "it cannot be said who may listen; clients are told to try again");
}

/// What went wrong, and what came before it.
pub(super) fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
