//! `/instant.js` and `/instant.mjs`: the client for browsers, out of the binary.

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

/// Browsers take it from their cache for a minute and then ask whether it has changed: after an upgrade pages have the new one soon.
const CACHED: HeaderValue = HeaderValue::from_static("public, max-age=60, must-revalidate");
/// It is code for everyone, the same for each of them and without a secret: pages of any origin may load it as a module or with
/// an `integrity`, which is read across origins. Whether they may connect is decided when they do.
const ANYONE: HeaderValue = HeaderValue::from_static("*");
/// Lets pages load it that isolate themselves (`Cross-Origin-Embedder-Policy`).
const RESOURCE_POLICY: (HeaderName, HeaderValue) = (
    HeaderName::from_static("cross-origin-resource-policy"),
    HeaderValue::from_static("cross-origin"),
);
/// Both are JavaScript; modules are not run under another type.
const JAVASCRIPT: HeaderValue = HeaderValue::from_static("text/javascript; charset=utf-8");

static SCRIPT: LazyLock<Asset> = LazyLock::new(|| Asset::new(include_bytes!("../../client/dist/instant.js")));
static MODULE: LazyLock<Asset> = LazyLock::new(|| Asset::new(include_bytes!("../../client/dist/instant.mjs")));

/// A file of the client, in the forms in which it is sent.
#[derive(Debug)]
struct Asset {
    plain: Form,
    /// None: it could not be made.
    compressed: Option<Form>,
}

/// The bytes of a file, and what they are recognised by.
#[derive(Debug)]
struct Form {
    bytes: Bytes,
    tag: HeaderValue,
}

/// Answers with the script.
pub(super) async fn script(headers: HeaderMap) -> Response {
    SCRIPT.answer(&headers)
}

/// Answers with the module.
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
        let compressed = self.compressed.as_ref().filter(|_| takes_gzip(headers));
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

    /// Whether the client has it, as RFC 9110 (13.1.2) compares: weakly, since a proxy that compresses makes the tag weak.
    fn is_known(&self, headers: &HeaderMap) -> bool {
        let given = headers.get_all(IF_NONE_MATCH).iter();
        let mut tags = given
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim);
        tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == self.tag.as_bytes())
    }
}

/// Whether the client says that it takes gzip, and not that it does not.
fn takes_gzip(headers: &HeaderMap) -> bool {
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
    fn gzip_is_sent_to_whoever_takes_it() {
        for (values, takes) in [
            (&["gzip, deflate, br"][..], true),
            (&["br", "GZIP;q=0.5"], true),
            (&["br"], false),
            (&["gzip;q=0"], false),
            (&["gzip; q=0.000"], false),
            (&["x-gzip"], false),
            (&[], false),
        ] {
            assert_eq!(takes_gzip(&headers(&ACCEPT_ENCODING, values)), takes, "{values:?}");
        }
    }

    #[test]
    fn a_tag_is_known_alone_in_a_list_weak_or_by_a_star() {
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
