//! The answer and the log message when access cannot be determined.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::access::{self, Error};

/// The answer when access cannot be determined: the client must try again.
pub(super) fn unavailable(error: &Error) -> Response {
    log_failure(error);
    (StatusCode::SERVICE_UNAVAILABLE, "try again\n").into_response()
}

/// Logs why access cannot be determined, which clients do not learn; [`Error::Busy`] at most once per second.
pub(super) fn log_failure(error: &Error) {
    static LOGGED: AtomicU64 = AtomicU64::new(0);
    let now = access::now();
    if matches!(error, Error::Busy) && LOGGED.swap(now, Ordering::Relaxed) == now {
        return;
    }
    tracing::warn!(error = %chain(error), "access cannot be determined; clients are asked to try again");
}

/// An error with its sources.
pub(super) fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
