//! Which pages may connect, by what a browser says of where a request comes from.

use axum::http::HeaderMap;
use axum::http::header::{ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue, ORIGIN, VARY};

use super::Web;

/// Where a browser's request comes from, in relation to the server's own origin.
const FETCH_SITE: &str = "sec-fetch-site";
/// What a browser's request is for.
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

/// Whether a request comes from a page of an allowed origin, or from a program, which says nothing of a page. Pages of the server's own
/// origin send none with a GET request, nor does a link that somebody follows, which brings cookies too: today's browsers say over TLS
/// which of the two it is.
pub(super) fn is_welcome(web: &Web, headers: &HeaderMap) -> bool {
    if headers.contains_key(ORIGIN) {
        return allowed(web, headers).is_some();
    }
    let is = |name, text: &str| headers.get(name).is_some_and(|value| value == text);
    let is_of_page = !headers.contains_key(FETCH_SITE) || is(FETCH_SITE, "same-origin") || is(FETCH_SITE, "none");
    is_of_page && !is(FETCH_MODE, "navigate")
}

/// Tells a browser that pages of this origin may read the answer, which is that of their user.
pub(super) fn tell(answer: &mut HeaderMap, origin: HeaderValue) {
    answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    answer.insert(VARY, HeaderValue::from_static("origin"));
}
