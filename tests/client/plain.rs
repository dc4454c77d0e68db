//! A network that blocks WebSocket connections, and a site whose pages and Instant share one origin.

use std::net::Ipv4Addr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use futures_util::stream;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use super::page::Pages;
use super::rows::{WATCH, create};
use crate::support::postgres::free_port;
use crate::support::site::Site;
use crate::support::wait::{SOON, eventually};

/// One address for Django and Instant that forwards everything except WebSocket connections.
struct Front {
    serving: AbortHandle,
}

struct Behind {
    http: reqwest::Client,
    django: String,
    instant: String,
}

impl Front {
    async fn at(port: u16, django: u16, instant: &str) -> Self {
        let behind = Arc::new(Behind {
            http: reqwest::Client::new(),
            django: format!("http://127.0.0.1:{django}"),
            instant: instant.to_owned(),
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        let router = Router::new().fallback(pass).with_state(behind);
        let serving = tokio::spawn(async { axum::serve(listener, router).await.unwrap() }).abort_handle();
        Self { serving }
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn pass(State(behind): State<Arc<Behind>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    if path.starts_with("/connection/websocket") {
        let answer = Response::builder().status(StatusCode::FORBIDDEN);
        return answer.body(Body::empty()).unwrap();
    }
    let of_instant = ["/instant.js", "/connection/", "/emulation"]
        .iter()
        .any(|own| path.starts_with(own));
    let server = if of_instant { &behind.instant } else { &behind.django };
    let sent = behind
        .http
        .request(parts.method, format!("{server}{path}"))
        .headers(parts.headers);
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let answered = sent.body(body).send().await.unwrap();
    let mut answer = Response::builder().status(answered.status());
    *answer.headers_mut().unwrap() = answered.headers().clone();
    let chunks = stream::unfold(answered, |mut answered| async {
        let chunk = answered.chunk().await.ok()??;
        Some((Ok::<_, std::convert::Infallible>(chunk), answered))
    });
    answer.body(Body::from_stream(chunks)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_websocket_gets_through_a_page_at_instants_own_origin_hears_its_user_all_the_same() {
    let site = Site::on_hub(18, WATCH).await;
    let django = free_port();
    let Some(pages) = Pages::at(&site, django).await else { return };
    let _front = Front::at(site.pages, django, &site.url).await;
    let session = site.python("u = user('a'); print(cookie(login('a')))").await;
    let body = "<script src='/instant.js'></script>
         <script>instant.on('*', ({ message, channel }) => document.body.append(`${channel}/${message} `))</script>";
    let page = pages.open(&site, &session, body).await;
    let output = page.output();
    assert!(output.contains("socket: ws://localhost"), "it has tried: {output}");
    for number in ["A-1", "A-2"] {
        create(&site, number).await;
        page.line(&format!("users/news of {number}"), SOON).await;
    }
    // The control: to another origin, where no cookie goes along, a page does not fall back.
    let elsewhere = "<script src='/instant.js' data-url='ws://127.0.0.1:PORT'></script>";
    let page = pages.visit(&site, &session, &elsewhere.replace("PORT", &site.pages.to_string()));
    eventually(SOON, "a third attempt", async || {
        (page.output().matches("socket: ws://127.0.0.1").count() == 3).then_some(())
    })
    .await;
    assert!(!page.output().contains("page: ready"), "{}", page.output());
}
