//! What a request brings to be known by.

use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, COOKIE};

/// The cookies, and the header that `[django] whoami` looks at.
#[derive(Clone, Debug)]
pub(super) struct Credentials<'a> {
    /// The `Cookie` headers.
    pub(super) cookies: Vec<&'a str>,
    /// The `Authorization` header.
    pub(super) authorization: Option<&'a str>,
}

impl<'a> Credentials<'a> {
    /// Those of a request.
    pub(super) fn of(headers: &'a HeaderMap) -> Self {
        let cookies = headers.get_all(COOKIE).iter();
        Self {
            cookies: cookies.filter_map(|value| value.to_str().ok()).collect(),
            authorization: headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()),
        }
    }
}
