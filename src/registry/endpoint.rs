//! One place that serves images: requests, with authorization, and again if it seems worth it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::header::{
    ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, RANGE, RETRY_AFTER, WWW_AUTHENTICATE,
};
use reqwest::{Client, Response, StatusCode, Url};
use serde::Deserialize;

use super::auth::Authority;
use super::body;
use super::challenge::Challenge;
use super::failure::{Failure, cause, origin};
use crate::model::{ErrorCode, json};
use crate::sync::Mutex;

/// The number of attempts if their failures may pass.
pub(super) const ATTEMPTS: u32 = 4;
/// The first pause between two attempts; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(250);
/// No longer pause is made, even if a registry asks for it.
const MAX_PAUSE: Duration = Duration::from_secs(20);
/// A refusal is a few hundred bytes; what is longer is no explanation.
const MAX_MESSAGE: usize = 16 << 10;

/// Something to be got.
pub(super) struct Wanted {
    /// Its path below the endpoint's.
    pub(super) path: String,
    /// The media types that will do.
    pub(super) accept: Option<&'static str>,
    /// The first byte that is wanted.
    pub(super) from: u64,
}

/// A registry or a mirror.
pub(super) struct Endpoint {
    pub(super) client: Client,
    /// Ends with a slash.
    pub(super) base: Url,
    /// The headers that the site gives each request.
    pub(super) headers: HeaderMap,
    /// It may be asked what a tag stands for.
    pub(super) resolves: bool,
    /// It may be asked for content.
    pub(super) pulls: bool,
    /// The source of credentials.
    pub(super) authority: Authority,
    /// The header that it has accepted.
    pub(super) authorization: Mutex<Option<HeaderValue>>,
    /// It did not answer, or not as a registry in order does: others are asked before it.
    pub(super) is_down: AtomicBool,
}

/// The time between two attempts.
pub(super) struct Pause(Duration);

impl Pause {
    /// After so many failures.
    pub(super) fn of(failures: u32) -> Self {
        Self((PAUSE * 2_u32.saturating_pow(failures.saturating_sub(1))).min(MAX_PAUSE))
    }

    pub(super) async fn sleep(self) {
        tokio::time::sleep(self.0).await;
    }
}

/// A failure, and when the registry wants to be asked again.
struct Setback {
    failure: Failure,
    after: Option<Duration>,
}

impl From<Failure> for Setback {
    fn from(failure: Failure) -> Self {
        Self { failure, after: None }
    }
}

impl Endpoint {
    /// Get something: an answer whose body is what was wanted.
    pub(super) async fn fetch(&self, wanted: &Wanted) -> Result<Response, Failure> {
        let mut failures = 0;
        loop {
            let setback = match self.attempt(wanted).await {
                Ok(answer) => {
                    self.is_down.store(false, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(setback) => setback,
            };
            failures += 1;
            if !setback.failure.passes || failures >= ATTEMPTS {
                self.is_down.store(setback.failure.passes, Ordering::Relaxed);
                return Err(setback.failure);
            }
            tracing::debug!(error = %setback.failure.error, "a registry is asked again");
            match setback.after {
                Some(after) => Pause(after.min(MAX_PAUSE)).sleep().await,
                None => Pause::of(failures).sleep().await,
            }
        }
    }

    async fn attempt(&self, wanted: &Wanted) -> Result<Response, Setback> {
        let answer = self.send(wanted).await?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return self.checked(wanted, answer).await;
        }
        let challenges = answer.headers().get_all(WWW_AUTHENTICATE);
        let challenges = Challenge::all(challenges.iter().filter_map(|value| value.to_str().ok()));
        let Some(authorization) = self.authority.convince(&self.client, &challenges).await? else {
            // The registry's own words, as there is nothing to tell it.
            return self.checked(wanted, answer).await;
        };
        *self.authorization.lock() = Some(authorization);
        let answer = self.send(wanted).await?;
        self.checked(wanted, answer).await
    }

    async fn send(&self, wanted: &Wanted) -> Result<Response, Failure> {
        let url = self.url(&wanted.path)?;
        // The site's own may have several values, and give way to what the request is about.
        let mut headers = self.headers.clone();
        if let Some(accept) = wanted.accept {
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
        }
        if wanted.from > 0
            && let Ok(range) = HeaderValue::try_from(format!("bytes={}-", wanted.from))
        {
            headers.insert(RANGE, range);
        }
        if let Some(authorization) = self.authorization.lock().clone() {
            headers.insert(AUTHORIZATION, authorization);
        }
        let request = self.client.get(url).headers(headers);
        request.send().await.map_err(|error| self.broken(&error))
    }

    fn url(&self, path: &str) -> Result<Url, Failure> {
        let bad = |error| Failure::lasting(format!("registry {}: {path}: {error}", self.base));
        let mut url = self.base.join(path).map_err(bad)?;
        url.set_query(self.base.query());
        Ok(url)
    }

    async fn checked(&self, wanted: &Wanted, answer: Response) -> Result<Response, Setback> {
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let seconds =
            answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let after = seconds.map(Duration::from_secs);
        let mut failure = self.lasting(&wanted.path, &format!("{status}{}", message(answer).await));
        failure.passes = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
        failure.error.code = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ErrorCode::DeniedByDrms,
            _ if failure.passes => ErrorCode::Internal,
            _ => ErrorCode::InvalidArgument,
        };
        Err(Setback { failure, after })
    }

    /// No answer, or none that is whole.
    pub(super) fn broken(&self, error: &reqwest::Error) -> Failure {
        Failure::passing(format!("registry {}: {}", origin(&self.base), cause(error)))
    }

    /// An answer that is no use.
    pub(super) fn lasting(&self, path: &str, cause: &str) -> Failure {
        Failure::lasting(format!("registry {}: {path}: {cause}", origin(&self.base)))
    }
}

#[derive(Deserialize)]
struct Errors {
    errors: Vec<Complaint>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Complaint {
    code: String,
    message: String,
}

impl Complaint {
    fn text(&self) -> String {
        match (self.message.as_str(), self.code.as_str()) {
            ("", "") => String::new(),
            ("", text) | (text, "") => format!(": {text}"),
            (message, code) => format!(": {message} ({code})"),
        }
    }
}

/// The text of a registry's refusal.
async fn message(answer: Response) -> String {
    let read = body::read(answer, MAX_MESSAGE).await;
    let errors = read.ok().and_then(|bytes| json::read(&bytes).ok());
    errors.map_or(String::new(), |Errors { errors }| errors.iter().map(Complaint::text).collect())
}
