//! `/instant.js` and `/instant.mjs` over HTTP.

use std::io::Read as _;

use flate2::read::GzDecoder;
use reqwest::{Method, Response};

use crate::support::cache::manifest;
use crate::support::site::Site;

async fn ask(site: &Site, method: Method, path: &str, headers: &[(&str, &str)]) -> Response {
    let request = site.http.request(method, format!("{}{path}", site.url));
    let request = headers
        .iter()
        .fold(request, |request, (name, value)| request.header(*name, *value));
    request.send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn instant_serves_the_client_for_every_origin_and_again_only_when_it_has_changed() {
    for site in Site::both("").await {
        for (path, file) in [("/instant.js", "instant.js"), ("/instant.mjs", "instant.mjs")] {
            let code = std::fs::read(manifest("client/dist").join(file)).unwrap();
            let answer = ask(&site, Method::GET, path, &[("Origin", "http://elsewhere.example")]).await;
            assert_eq!(answer.status(), 200);
            for (name, value) in [
                ("content-type", "text/javascript; charset=utf-8"),
                ("cache-control", "public, max-age=60, must-revalidate"),
                ("x-content-type-options", "nosniff"),
                ("access-control-allow-origin", "*"),
                ("cross-origin-resource-policy", "cross-origin"),
                ("vary", "accept-encoding"),
            ] {
                assert_eq!(answer.headers()[name], value, "{name}");
            }
            let tag = answer.headers()["etag"].to_str().unwrap().to_owned();
            assert!(answer.bytes().await.unwrap() == code, "{path}");

            let again = ask(&site, Method::GET, path, &[("If-None-Match", &tag)]).await;
            assert_eq!(again.status(), 304);
            assert_eq!(again.headers()["etag"], tag.as_str());
            assert_eq!(again.headers()["cache-control"], "public, max-age=60, must-revalidate");
            assert!(again.bytes().await.unwrap().is_empty());
            let changed = ask(&site, Method::GET, path, &[("If-None-Match", "\"another\"")]).await;
            assert_eq!(changed.status(), 200);

            let compressed = ask(&site, Method::GET, path, &[("Accept-Encoding", "br, gzip")]).await;
            assert_eq!(compressed.headers()["content-encoding"], "gzip");
            assert_ne!(compressed.headers()["etag"], tag.as_str());
            let (mut plain, body) = (Vec::new(), compressed.bytes().await.unwrap());
            GzDecoder::new(&*body).read_to_end(&mut plain).unwrap();
            assert!(plain == code && body.len() < code.len() / 2, "{path}");

            let head = ask(&site, Method::HEAD, path, &[]).await;
            assert_eq!(head.headers()["content-length"], code.len().to_string().as_str());
            assert!(head.bytes().await.unwrap().is_empty());
            assert_eq!(ask(&site, Method::POST, path, &[]).await.status(), 405);
        }
        let other = ask(&site, Method::GET, "/healthz", &[]).await;
        assert_eq!(other.headers()["cache-control"], "no-store");
    }
}
