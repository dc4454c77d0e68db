//! `[django] whoami`: the site itself identifies the sender of a request, if it does not log in with Django's sessions.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use reqwest::StatusCode;
use reqwest::header::{ACCEPT, AUTHORIZATION, COOKIE};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::{Credentials, Error, Identity, Who, now};

/// The limit on the site's answer.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The most concurrent requests to the site.
const MAX_REQUESTS: usize = 16;
/// How long an answer is cached.
const KEPT: Duration = Duration::from_secs(3);
/// The most answers that are cached.
const LARGEST: usize = 10_000;
/// How long an answer is valid for a connection, in seconds; then the site is asked again.
const HOLDS: u64 = 60;
/// The largest accepted answer, in bytes.
const LARGEST_ANSWER: usize = 64 * 1024;

/// The client of the site's endpoint.
#[derive(Debug)]
pub(super) struct Whoami {
    http: reqwest::Client,
    url: SecretString,
    kept: Mutex<HashMap<[u8; 32], (Instant, Who)>>,
    turns: Semaphore,
}

/// The endpoint's answer.
#[derive(Deserialize)]
struct Answer {
    user: String,
    #[serde(default)]
    is_staff: bool,
    #[serde(default)]
    is_superuser: bool,
    #[serde(default)]
    groups: Vec<String>,
}

impl Whoami {
    pub(super) fn new(url: &SecretString) -> Result<Self, Error> {
        let http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy();
        Ok(Self {
            http: http.build().map_err(Error::Site)?,
            url: url.clone(),
            kept: Mutex::default(),
            turns: Semaphore::new(MAX_REQUESTS),
        })
    }

    /// Identifies the client with these credentials; one without any is anonymous.
    pub(super) async fn ask(&self, given: &Credentials<'_>) -> Result<Who, Error> {
        let (cookies, authorization) = (given.cookies.join("; "), given.authorization);
        if cookies.is_empty() && authorization.is_none() {
            return Ok(Who::Visitor);
        }
        let mut hash = Sha256::new();
        // No header contains a line break.
        hash.update(&cookies);
        hash.update("\n");
        hash.update(authorization.unwrap_or_default());
        let key: [u8; 32] = hash.finalize().into();
        let known = self.lock().get(&key).filter(|(at, _)| at.elapsed() < KEPT).cloned();
        if let Some((_, who)) = known {
            return Ok(who);
        }
        let who = self.fetch(&cookies, authorization).await?;
        let mut kept = self.lock();
        if kept.len() >= LARGEST {
            kept.retain(|_, (at, _)| at.elapsed() < KEPT);
        }
        if kept.len() < LARGEST {
            kept.insert(key, (Instant::now(), who.clone()));
        }
        Ok(who)
    }

    async fn fetch(&self, cookies: &str, authorization: Option<&str>) -> Result<Who, Error> {
        let _turn = self.turns.acquire().await.map_err(|_| Error::TimedOut)?;
        let mut request = self.http.get(self.url.expose_secret()).header(ACCEPT, "application/json");
        if !cookies.is_empty() {
            request = request.header(COOKIE, cookies);
        }
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let site = |error: reqwest::Error| Error::Site(error.without_url());
        let mut response = request.send().await.map_err(site)?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NO_CONTENT | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Ok(Who::Visitor),
            other => return Err(Error::SiteStatus(other.as_u16())),
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(site)? {
            body.extend_from_slice(&chunk);
            if body.len() > LARGEST_ANSWER {
                return Err(Error::SiteAnswer);
            }
        }
        let answer: Answer = serde_json::from_slice(&body).map_err(|_| Error::SiteAnswer)?;
        if answer.user.is_empty() || answer.user.contains(char::is_control) {
            return Err(Error::SiteAnswer);
        }
        Ok(Who::User(Identity {
            user: answer.user,
            is_staff: answer.is_staff,
            is_superuser: answer.is_superuser,
            groups: answer.groups,
            expires: Some(now() + HOLDS),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], (Instant, Who)>> {
        self.kept.lock()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::Router;
    use axum::http::HeaderMap;
    use axum::response::Redirect;
    use axum::routing::get;

    use super::*;

    /// A site that answers at these paths, and counts the questions at `/counted`.
    async fn site() -> (String, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let user = async |headers: HeaderMap| {
            let named = headers.get(COOKIE).map_or("nobody", |cookie| cookie.to_str().unwrap());
            format!(r#"{{"user": "{named}"}}"#)
        };
        let counted = move |headers: HeaderMap| {
            count.fetch_add(1, Ordering::Relaxed);
            user(headers)
        };
        let site = Router::new()
            .route("/counted", get(counted))
            .route("/log-in", get(async || Redirect::to("/staff")))
            .route("/staff", get(async || r#"{"user": "1", "is_staff": true}"#))
            .route(
                "/large",
                get(async || format!(r#"{{"user": "{}"}}"#, "1".repeat(LARGEST_ANSWER))),
            )
            .route("/page", get(async || "<html>"))
            .route("/nobody", get(async || r#"{"user": ""}"#))
            .route("/lines", get(async || r#"{"user": "1\n2"}"#))
            .route("/slow", get(std::future::pending::<&'static str>));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async { axum::serve(listener, site).await });
        (url, asked)
    }

    fn brought<'a>(cookies: &[&'a str], authorization: Option<&'a str>) -> Credentials<'a> {
        Credentials {
            cookies: cookies.to_vec(),
            authorization,
        }
    }

    fn at(site: &str, path: &str) -> Whoami {
        Whoami::new(&format!("{site}{path}").into()).unwrap()
    }

    #[tokio::test]
    async fn an_answer_without_a_user_admits_nobody() {
        let (site, _) = site().await;
        for path in ["/log-in", "/page", "/nobody", "/lines", "/large", "/missing", "/slow"] {
            let answer = at(&site, path).ask(&brought(&["a=b"], None)).await;
            assert!(answer.is_err(), "{path}: {answer:?}");
        }
    }

    #[tokio::test]
    async fn the_same_headers_are_asked_about_once_and_others_by_themselves() {
        let (site, asked) = site().await;
        let whoami = at(&site, "/counted");
        for cookie in ["a", "b", "a", "a"] {
            let who = whoami.ask(&brought(&[cookie], None)).await.unwrap();
            assert_eq!(who.key(), cookie);
        }
        assert_eq!(asked.load(Ordering::Relaxed), 2);
        whoami.ask(&brought(&["a"], Some("Bearer b"))).await.unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), 3);
        assert!(matches!(whoami.ask(&Credentials::default()).await, Ok(Who::Visitor)));
        assert_eq!(asked.load(Ordering::Relaxed), 3);
    }

    #[tokio::test]
    async fn a_flood_of_cookies_keeps_no_more_answers_than_there_is_room_for() {
        let (site, _) = site().await;
        let whoami = at(&site, "/counted");
        for number in 0..LARGEST {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&number.to_be_bytes());
            whoami.lock().insert(key, (Instant::now(), Who::Visitor));
        }
        assert_eq!(whoami.ask(&brought(&["a"], None)).await.unwrap().key(), "a");
        assert_eq!(whoami.lock().len(), LARGEST);
    }
}
