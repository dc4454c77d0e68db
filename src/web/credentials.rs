//! The credentials in the headers of a request.

use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, COOKIE, HeaderValue};

use crate::access::Credentials;

impl<'a> Credentials<'a> {
    /// The credentials of a request.
    pub(in crate::web) fn of(headers: &'a HeaderMap) -> Self {
        Self {
            cookies: headers.get_all(COOKIE).iter().flat_map(cookies).collect(),
            authorization: headers
                .get(AUTHORIZATION)
                .and_then(|value| std::str::from_utf8(value.as_bytes()).ok()),
        }
    }
}

/// The text of a `Cookie` header: all of it, or, if another script of the site has set a cookie that is not UTF-8, the pairs that are.
fn cookies(header: &HeaderValue) -> Vec<&str> {
    let bytes = header.as_bytes();
    std::str::from_utf8(bytes).map_or_else(
        |_| {
            let pairs = bytes.split(|byte| *byte == b';');
            pairs.filter_map(|pair| std::str::from_utf8(pair.trim_ascii()).ok()).collect()
        },
        |text| vec![text],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_that_is_not_ascii_does_not_hide_the_others() {
        let mut headers = HeaderMap::new();
        for cookies in [&b"name=Zo\xc3\xab; sessionid=a"[..], b"name=Zo\xeb; sessionid=b; c=d"] {
            headers.append(COOKIE, HeaderValue::from_bytes(cookies).unwrap());
        }
        headers.insert(AUTHORIZATION, HeaderValue::from_bytes("Bearer é".as_bytes()).unwrap());
        let given = Credentials::of(&headers);
        assert_eq!(given.cookies, ["name=Zoë; sessionid=a", "sessionid=b", "c=d"]);
        assert_eq!(given.authorization, Some("Bearer é"));
    }
}
