//! Reading a blob, over as many connections as it takes.

use reqwest::Response;
use reqwest::StatusCode;

use super::endpoint::{ATTEMPTS, Pause};
use super::{Failure, Registry};

/// Bytes that are gathered before they are given on: whoever takes them does so by a call to another
/// process, which costs the same for few and for many.
const PART: usize = 128 << 10;
/// The last piece of a part goes beyond it by about so much.
const MARGIN: usize = 16 << 10;

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

    /// The next bytes, never none and as many as there may be in one go; fewer at the end, or where the
    /// connection broke; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let mut news = Vec::new();
        while self.at < self.size && news.len() < PART {
            let part = match &mut self.answer {
                None => {
                    self.open().await?;
                    continue;
                }
                Some(answer) => answer.chunk().await,
            };
            let cause = match part {
                Ok(Some(part)) => {
                    self.take(&part, &mut news);
                    continue;
                }
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
            if !news.is_empty() {
                // They are not to be lost if there is no other connection.
                break;
            }
        }
        Ok(Some(news).filter(|news| !news.is_empty()))
    }

    /// Ask for what is missing; not at once if it broke off.
    async fn open(&mut self) -> Result<(), Failure> {
        if self.broken > 0 {
            Pause::of(self.broken).sleep().await;
        }
        let answer = self.registry.open_blob(&self.digest, self.at).await?;
        let partial = answer.status() == StatusCode::PARTIAL_CONTENT;
        self.skip = if partial { 0 } else { self.at };
        self.answer = Some(answer);
        Ok(())
    }

    /// Add what is new in a part of the answer.
    fn take(&mut self, part: &[u8], news: &mut Vec<u8>) {
        let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
        let known = self.skip.min(length);
        self.skip -= known;
        let rest = usize::try_from(known).ok().and_then(|known| part.get(known..)).unwrap_or_default();
        // Nobody asked for what comes after the end.
        let room = usize::try_from(self.size - self.at).unwrap_or(usize::MAX);
        let rest = rest.get(..room).unwrap_or(rest);
        if rest.is_empty() {
            return;
        }
        if news.capacity() == 0 {
            news.reserve_exact(room.min(PART + MARGIN));
        }
        news.extend_from_slice(rest);
        self.broken = 0;
        self.at += u64::try_from(rest.len()).unwrap_or(0);
    }
}
