//! `/instant.js` and `/instant.mjs`: the client for browsers, embedded in the binary.

use std::io::{self, Write as _};
use std::sync::LazyLock;

use axum::body::{Body, Bytes};
use axum::http::header::{
    ACCEPT_ENCODING, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderName, HeaderValue,
    IF_NONE_MATCH, VARY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

/// Browsers use their cached copy for a minute and then revalidate it: after an upgrade, pages get the new one soon.
const CACHED: HeaderValue = HeaderValue::from_static("public, max-age=60, must-revalidate");
/// The code is public, the same for everyone and without secrets: pages of any origin may load it as a module or with an `integrity`
/// attribute, which are cross-origin reads. Whether they may connect is decided when they do.
const ANYONE: HeaderValue = HeaderValue::from_static("*");
/// Allows pages that isolate themselves (`Cross-Origin-Embedder-Policy`) to load it.
const RESOURCE_POLICY: (HeaderName, HeaderValue) = (
    HeaderName::from_static("cross-origin-resource-policy"),
    HeaderValue::from_static("cross-origin"),
);
/// The type of both files; browsers do not run modules of another type.
const JAVASCRIPT: HeaderValue = HeaderValue::from_static("text/javascript; charset=utf-8");

static SCRIPT: LazyLock<Asset> = LazyLock::new(|| Asset::new(include_bytes!("../../client/dist/instant.js")));
static MODULE: LazyLock<Asset> = LazyLock::new(|| Asset::new(include_bytes!("../../client/dist/instant.mjs")));

/// A file of the client, in the encodings in which it is sent.
#[derive(Debug)]
struct Asset {
    plain: Form,
    /// `None` if compression failed.
    compressed: Option<Form>,
}

/// The bytes of a file in one encoding, and their entity tag.
#[derive(Debug)]
struct Form {
    bytes: Bytes,
    tag: HeaderValue,
}

/// Serves the script.
pub(super) async fn script(headers: HeaderMap) -> Response {
    SCRIPT.answer(&headers)
}

/// Serves the module.
pub(super) async fn module(headers: HeaderMap) -> Response {
    MODULE.answer(&headers)
}

impl Asset {
    fn new(bytes: &'static [u8]) -> Self {
        Self {
            plain: Form::new(Bytes::from_static(bytes)),
            compressed: compress(bytes).ok().map(|bytes| Form::new(bytes.into())),
        }
    }

    fn answer(&self, headers: &HeaderMap) -> Response {
        let compressed = self.compressed.as_ref().filter(|_| accepts_gzip(headers));
        let form = compressed.unwrap_or(&self.plain);
        let mut answer = if form.is_known(headers) {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            let mut answer = Response::new(Body::from(form.bytes.clone()));
            answer.headers_mut().insert(CONTENT_TYPE, JAVASCRIPT);
            if compressed.is_some() {
                answer
                    .headers_mut()
                    .insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
            answer
        };
        answer.headers_mut().extend([
            (ETAG, form.tag.clone()),
            (CACHE_CONTROL, CACHED),
            (VARY, HeaderValue::from_static("accept-encoding")),
            (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            (ACCESS_CONTROL_ALLOW_ORIGIN, ANYONE),
            RESOURCE_POLICY,
        ]);
        answer
    }
}

impl Form {
    fn new(bytes: Bytes) -> Self {
        let hash = URL_SAFE_NO_PAD.encode(&Sha256::digest(&bytes)[..12]);
        // Base64 is ASCII.
        let tag = HeaderValue::from_str(&format!("\"{hash}\"")).unwrap_or(HeaderValue::from_static("\"\""));
        Self { bytes, tag }
    }

    /// Whether the client has this form, by the weak comparison of RFC 9110 (13.1.2): a proxy that compresses makes the tag weak.
    fn is_known(&self, headers: &HeaderMap) -> bool {
        let given = headers.get_all(IF_NONE_MATCH).iter();
        let mut tags = given
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim);
        tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == self.tag.as_bytes())
    }
}

/// Whether the client accepts gzip, with a weight above zero.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let given = headers.get_all(ACCEPT_ENCODING).iter();
    let mut codings = given
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    codings.any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().strip_prefix("q=").map_or(Ok(1.0), str::parse::<f32>);
        name.trim().eq_ignore_ascii_case("gzip") && weight.is_ok_and(|weight| weight > 0.0)
    })
}

fn compress(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn gzip_is_sent_to_clients_that_accept_it() {
        for (values, accepts) in [
            (&["gzip, deflate, br"][..], true),
            (&["br", "GZIP;q=0.5"], true),
            (&["br"], false),
            (&["gzip;q=0"], false),
            (&["gzip; q=0.000"], false),
            (&["x-gzip"], false),
            (&[], false),
        ] {
            assert_eq!(accepts_gzip(&headers(&ACCEPT_ENCODING, values)), accepts, "{values:?}");
        }
    }

    #[test]
    fn a_tag_matches_by_itself_in_a_list_as_a_weak_tag_or_by_a_star() {
        let form = Form::new(Bytes::from_static(b"code"));
        let tag = form.tag.to_str().unwrap();
        for (values, known) in [
            (vec![tag.to_owned()], true),
            (vec![format!("\"other\", W/{tag}")], true),
            (vec!["\"other\"".to_owned(), tag.to_owned()], true),
            (vec!["*".to_owned()], true),
            (vec!["\"other\"".to_owned()], false),
            (vec![], false),
        ] {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            assert_eq!(form.is_known(&headers(&IF_NONE_MATCH, &values)), known, "{values:?}");
        }
    }
}
