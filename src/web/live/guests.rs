//! Who may see the page: staff by the site's session, and guests by a link.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, HOST, ORIGIN};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use secrecy::{ExposeSecret, SecretString};

use crate::access::{Error, Who, cookie};
use crate::django::mac;
use crate::web::random::{NoRandomness, secret};
use crate::web::unanswered::unavailable;
use crate::web::{Credentials, Web};

/// The cookie of a guest with a link.
const COOKIE: &str = "instant_live";
/// The answer to everyone else.
pub(super) const REFUSAL: &str = "this page is for staff: log in to the site as staff or superuser, at the address of this \
                                  page, or open the link that `instant dev` prints\n";

/// The guests of the page, who come with a link.
#[derive(Debug)]
pub(super) struct Guests {
    /// The key of the next guest.
    invitation: Mutex<Option<SecretString>>,
    /// The cookie of admitted guests.
    cookie: SecretString,
}

impl Guests {
    pub(super) fn new() -> Result<Self, NoRandomness> {
        Ok(Self {
            invitation: Mutex::default(),
            cookie: secret()?.into(),
        })
    }

    /// The key of an invitation, which replaces the one before.
    pub(super) fn invite(&self) -> Result<String, NoRandomness> {
        let key = secret()?;
        *self.invitation.lock() = Some(key.clone().into());
        Ok(key)
    }

    /// The `Set-Cookie` header for a request with the key of the invitation, which is invalid from then on.
    pub(super) fn redeem(&self, key: &str) -> Option<String> {
        let mut invitation = self.invitation.lock();
        invitation.take_if(|wanted| equal(key, wanted))?;
        let value = self.cookie.expose_secret();
        Some(format!("{COOKIE}={value}; Path=/live; HttpOnly; SameSite=Strict"))
    }

    fn include(&self, cookies: &[&str]) -> bool {
        cookie::value(cookies, COOKIE).is_some_and(|value| equal(&value, &self.cookie))
    }
}

fn equal(given: &str, wanted: &SecretString) -> bool {
    mac::equal(given.as_bytes(), wanted.expose_secret().as_bytes())
}

/// Whether the sender of these headers may see the events.
pub(super) async fn may_view(web: &Web, headers: &HeaderMap) -> Result<bool, Error> {
    let given = Credentials::of(headers);
    if web.live.guests.include(&given.cookies) {
        return Ok(true);
    }
    let who = web.access().identify(&given).await?;
    Ok(matches!(who, Who::User(user) if user.is_staff || user.is_superuser))
}

/// Accepts requests that may see the page.
pub(super) async fn guard(State(web): State<Arc<Web>>, request: Request, next: Next) -> Response {
    match may_view(&web, request.headers()).await {
        Ok(true) => next.run(request).await,
        Ok(false) => (StatusCode::FORBIDDEN, REFUSAL).into_response(),
        Err(error) => unavailable(&error),
    }
}

/// Accepts requests of the page itself: no other site can send one with its origin, nor with this content type without permission.
pub(super) async fn same_origin(request: Request, next: Next) -> Response {
    if is_own(request.headers()) {
        next.run(request).await
    } else {
        (StatusCode::FORBIDDEN, "only the live page itself may do this\n").into_response()
    }
}

fn is_own(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let origin = text(ORIGIN).and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    let is_json = text(CONTENT_TYPE).is_some_and(|kind| kind.starts_with("application/json"));
    is_json && origin.is_some() && origin == text(HOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invitation_admits_one_guest_once_and_the_next_replaces_it() {
        let guests = Guests::new().unwrap();
        let cookie = |key: &str| guests.redeem(key);
        assert!(cookie("").is_none());
        let (first, second) = (guests.invite().unwrap(), guests.invite().unwrap());
        assert!(cookie(&first).is_none());
        let given = cookie(&second).unwrap();
        assert!(cookie(&second).is_none());
        let pair = given.split(';').next().unwrap();
        assert!(guests.include(&["a=1", pair]));
        assert!(!guests.include(&[&pair[..pair.len() - 1]]) && !guests.include(&["instant_live="]) && !guests.include(&[]));
        assert!(!Guests::new().unwrap().include(&[pair]), "each process has its own");
    }
}
