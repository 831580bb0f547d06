//! Reading a blob, over as many connections as it takes.

use reqwest::Response;
use reqwest::StatusCode;

use super::endpoint::{ATTEMPTS, Pause};
use super::{Failure, Registry};

/// A blob being read.
pub struct Blob<'a> {
    registry: &'a Registry,
    digest: String,
    size: u64,
    at: u64,
    answer: Option<Response>,
    /// Bytes of the answer that are known already: not every registry gives a part of a blob.
    skip: u64,
    /// How often the connection broke without a byte in between.
    broken: u32,
}

impl<'a> Blob<'a> {
    pub(super) fn new(registry: &'a Registry, digest: &str, size: u64, at: u64) -> Self {
        Self { registry, digest: digest.to_owned(), size, at, answer: None, skip: 0, broken: 0 }
    }

    /// The next bytes, never none; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        while self.at < self.size {
            let part = match &mut self.answer {
                None => {
                    let answer = self.registry.open_blob(&self.digest, self.at).await?;
                    let partial = answer.status() == StatusCode::PARTIAL_CONTENT;
                    self.skip = if partial { 0 } else { self.at };
                    self.answer = Some(answer);
                    continue;
                }
                Some(answer) => answer.chunk().await,
            };
            let cause = match part {
                Ok(Some(part)) => match self.take(&part) {
                    Some(news) => return Ok(Some(news)),
                    None => continue,
                },
                Ok(None) => "the connection was closed too early".to_owned(),
                Err(error) => super::endpoint::cause(&error),
            };
            self.answer = None;
            self.broken += 1;
            if self.broken >= ATTEMPTS {
                let host = &self.registry.name.host;
                let (digest, at, size) = (&self.digest, self.at, self.size);
                let text =
                    format!("registry {host}: blob {digest} broke off at {at}/{size} bytes: {cause}");
                return Err(Failure::passing(text));
            }
            Pause::of(self.broken).sleep().await;
        }
        Ok(None)
    }

    /// What is new in a part of the answer.
    fn take(&mut self, part: &[u8]) -> Option<Vec<u8>> {
        let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
        let known = self.skip.min(length);
        self.skip -= known;
        let rest = part.get(usize::try_from(known).ok()?..)?;
        // Nobody asked for what comes after the end.
        let room = usize::try_from(self.size - self.at).unwrap_or(usize::MAX);
        let news = rest.get(..room).unwrap_or(rest);
        if news.is_empty() {
            return None;
        }
        self.broken = 0;
        self.at += u64::try_from(news.len()).unwrap_or(0);
        Some(news.to_vec())
    }
}
