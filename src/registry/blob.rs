//! Reading a blob, over as many connections as it takes.

use bytes::Bytes;
use reqwest::Response;
use reqwest::StatusCode;

use super::Registry;
use super::endpoint::{ATTEMPTS, Pause};
use super::failure::{Failure, cause};

/// Bytes that are gathered before they are given on: whoever takes them does so by a call to another
/// process, which costs the same for few and for many.
const PIECE: usize = 128 << 10;

/// A blob being read.
pub struct Blob<'a> {
    registry: &'a Registry,
    digest: String,
    size: u64,
    at: u64,
    answer: Option<Response>,
    /// The part of the answer that has come and was not given on.
    come: Bytes,
    /// Bytes of the answer that are known already: not every registry gives a part of a blob.
    skip: u64,
    /// The number of times that the connection broke without a byte in between.
    broken: u32,
}

impl Registry {
    /// A blob from `offset` on.
    pub fn blob<'a>(&'a self, digest: &str, size: u64, offset: u64) -> Blob<'a> {
        Blob {
            registry: self,
            digest: digest.to_owned(),
            size,
            at: offset,
            answer: None,
            come: Bytes::new(),
            skip: 0,
            broken: 0,
        }
    }
}

impl Blob<'_> {
    /// The next bytes, never none and as many as there may be in one go; fewer at the end, or where the
    /// connection broke; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let room = usize::try_from(self.size - self.at).unwrap_or(usize::MAX).min(PIECE);
        let mut news = Vec::with_capacity(room);
        self.take(&mut news, room);
        while news.len() < room {
            let part = match &mut self.answer {
                None => {
                    self.open().await?;
                    continue;
                }
                Some(answer) => answer.chunk().await,
            };
            let cause = match part {
                Ok(Some(part)) => {
                    self.come = part;
                    self.take(&mut news, room);
                    continue;
                }
                Ok(None) => "the connection was closed too early".to_owned(),
                Err(error) => cause(&error),
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
        let answer = self.registry.open_blob(&self.digest, self.size, self.at).await?;
        let partial = answer.status() == StatusCode::PARTIAL_CONTENT;
        self.skip = if partial { 0 } else { self.at };
        self.answer = Some(answer);
        Ok(())
    }

    /// Move what is new of what has come to the news, which are to be no more than `room`.
    fn take(&mut self, news: &mut Vec<u8>, room: usize) {
        let length = |bytes: &[u8]| u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let known = self.skip.min(length(&self.come));
        self.skip -= known;
        drop(self.come.split_to(usize::try_from(known).unwrap_or(usize::MAX).min(self.come.len())));
        // Nobody asked for what comes after the end.
        let more = self.come.split_to(self.come.len().min(room.saturating_sub(news.len())));
        if !more.is_empty() {
            news.extend_from_slice(&more);
            self.broken = 0;
            self.at += length(&more);
        }
    }
}
