//! Convincing a registry: by a password, or by a token for one.

use std::fmt::Display;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, RequestBuilder, Url};
use serde::Deserialize;

use super::Settings;
use super::body::{self, Unread};
use super::challenge::Challenge;
use super::credentials::{Credentials, Place};
use super::failure::{Failure, cause, origin};
use crate::model::ErrorCode;

/// A token is a few kilobytes; this much is a mistake.
const MAX_ANSWER: usize = 1 << 20;

/// The sources of credentials for a place, and what they allow there.
pub(super) struct Authority {
    pub(super) place: Place,
    pub(super) settings: Settings,
    /// Credentials were shown.
    pub(super) has_shown: AtomicBool,
}

#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
}

impl Authority {
    /// The answer to a registry's challenges; `None` if there are no credentials for it.
    pub(super) async fn convince(
        &self,
        client: &Client,
        challenges: &[Challenge],
    ) -> Result<Option<HeaderValue>, Failure> {
        let credentials = self.credentials().await?;
        for challenge in challenges {
            match (challenge, &credentials) {
                (Challenge::Bearer { realm, service, scope }, credentials) => {
                    let scope = scope
                        .clone()
                        .unwrap_or_else(|| format!("repository:{}:pull", self.place.repository));
                    let asked = [("service", service.clone()), ("scope", Some(scope))];
                    let token = self.token(client, realm, &asked, credentials.as_ref()).await?;
                    self.has_shown.fetch_or(credentials.is_some(), Ordering::Relaxed);
                    return secret(format!("Bearer {token}")).map(Some);
                }
                (Challenge::Basic, Some(Credentials::Password { user, password })) => {
                    self.has_shown.store(true, Ordering::Relaxed);
                    return secret(basic(user, password)).map(Some);
                }
                (Challenge::Basic, _) => {}
            }
        }
        Ok(None)
    }

    /// Files are read and programs run for it, so not on a thread of the runtime.
    async fn credentials(&self) -> Result<Option<Credentials>, Failure> {
        let (place, settings) = (self.place.clone(), self.settings.clone());
        let found = tokio::task::spawn_blocking(move || place.credentials(&settings)).await;
        found
            .map_err(|error| Failure::passing(format!("the search for credentials died: {error}")))?
            .map_err(|error| Failure { error, passes: false })
    }

    async fn token(
        &self,
        client: &Client,
        realm: &str,
        asked: &[(&str, Option<String>)],
        credentials: Option<&Credentials>,
    ) -> Result<String, Failure> {
        let bad = |error: &dyn Display| {
            Failure::lasting(format!("registry {}: its realm {realm}: {error}", self.place.host))
        };
        let mut url = Url::parse(realm).map_err(|error| bad(&error))?;
        let asked = asked.iter().filter_map(|(key, value)| Some((*key, value.as_deref()?)));
        let request = match credentials {
            Some(Credentials::Token(token)) => {
                let mut form = url.clone();
                form.query_pairs_mut().clear().extend_pairs(asked).extend_pairs([
                    ("grant_type", "refresh_token"),
                    ("client_id", "drmaa2"),
                    ("refresh_token", token),
                ]);
                let body = form.query().unwrap_or_default().to_owned();
                client
                    .post(url.clone())
                    .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                    .body(body)
            }
            other => {
                url.query_pairs_mut().extend_pairs(asked);
                let request = client.get(url.clone());
                match other {
                    Some(Credentials::Password { user, password }) => {
                        request.header(AUTHORIZATION, secret(basic(user, password))?)
                    }
                    _ => request,
                }
            }
        };
        self.read_token(request, &url).await
    }

    async fn read_token(&self, request: RequestBuilder, url: &Url) -> Result<String, Failure> {
        let authority = origin(url);
        let broken = |error: reqwest::Error| {
            Failure::passing(format!("authority {authority}: {}", cause(&error)))
        };
        let answer = request.header(ACCEPT, "application/json").send().await.map_err(broken)?;
        let status = answer.status();
        if !status.is_success() {
            let text =
                format!("authority {authority} gives no token for {}: {status}", self.place.repository);
            return Err(if status.is_server_error() || status.as_u16() == 429 {
                Failure::passing(text)
            } else {
                let mut failure = Failure::lasting(text);
                failure.error.code = ErrorCode::DeniedByDrms;
                failure
            });
        }
        let useless = |cause: &dyn Display| Failure::lasting(format!("authority {authority}: {cause}"));
        let bytes = body::read(answer, MAX_ANSWER).await.map_err(|unread| match unread {
            Unread::TooLarge => useless(&format_args!("its answer is larger than {MAX_ANSWER} bytes")),
            Unread::Broken(error) => broken(error),
        })?;
        let answer: Answer = serde_json::from_slice(&bytes)
            .map_err(|error| useless(&format_args!("its answer holds no token: {error}")))?;
        let mut tokens = [answer.token, answer.access_token].into_iter().flatten();
        // Some send both, and one of them empty.
        tokens.find(|token| !token.is_empty()).ok_or_else(|| useless(&"its answer holds no token"))
    }
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// A header that no log shows.
fn secret(text: String) -> Result<HeaderValue, Failure> {
    let mut value = HeaderValue::try_from(text)
        .map_err(|_| Failure::lasting("credentials hold characters that no header may have"))?;
    value.set_sensitive(true);
    Ok(value)
}
