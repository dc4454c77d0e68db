//! Which pages may connect, by the headers in which a browser reports where a request comes from.

use axum::http::HeaderMap;
use axum::http::header::{ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue, ORIGIN, VARY};

use super::Web;

/// The header that relates a request's origin to the server's own.
const FETCH_SITE: &str = "sec-fetch-site";
/// The header that says what a request is for.
const FETCH_MODE: &str = "sec-fetch-mode";

/// The origin of a request, if it has one that is allowed.
pub(super) fn allowed(web: &Web, headers: &HeaderMap) -> Option<HeaderValue> {
    let mut origins = headers.get_all(ORIGIN).iter();
    let (origin, None) = (origins.next()?, origins.next()) else {
        return None;
    };
    let text = origin.to_str().ok()?;
    let is_allowed = web.origins.iter().any(|allowed| allowed.eq_ignore_ascii_case(text));
    is_allowed.then(|| origin.clone())
}

/// Whether a request comes from a page of an allowed origin, or from a program, which sends no `Origin`. Neither does a page of the
/// server's own origin with a GET request, nor a followed link, which carries cookies too: today's browsers distinguish these two over
/// TLS.
pub(super) fn is_welcome(web: &Web, headers: &HeaderMap) -> bool {
    if headers.contains_key(ORIGIN) {
        return allowed(web, headers).is_some();
    }
    let is = |name, text: &str| headers.get(name).is_some_and(|value| value == text);
    let is_of_page = !headers.contains_key(FETCH_SITE) || is(FETCH_SITE, "same-origin") || is(FETCH_SITE, "none");
    is_of_page && !is(FETCH_MODE, "navigate")
}

/// Allows pages of this origin to read the answer, which depends on their user.
pub(super) fn add_cors_headers(answer: &mut HeaderMap, origin: HeaderValue) {
    answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    answer.insert(VARY, HeaderValue::from_static("origin"));
}
