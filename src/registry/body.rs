//! Bodies of answers: their sizes, and those that are read into memory, none further than it may be long.

use reqwest::{Response, StatusCode};

/// The size of the whole blob, if an answer that begins at `from`, or at its beginning, tells it.
pub(super) fn told_size(answer: &Response, from: u64) -> Option<u64> {
    let before = if answer.status() == StatusCode::PARTIAL_CONTENT { from } else { 0 };
    Some(answer.content_length()?.saturating_add(before))
}

/// The reason why a body was not read.
pub(super) enum Unread {
    /// It is longer than it may be, or says so.
    TooLarge,
    /// The connection broke.
    Broken(reqwest::Error),
}

/// The whole body of an answer, of `limit` bytes at most.
pub(super) async fn read(mut answer: Response, limit: usize) -> Result<Vec<u8>, Unread> {
    let fits = |length: u64| usize::try_from(length).is_ok_and(|length| length <= limit);
    if answer.content_length().is_some_and(|length| !fits(length)) {
        return Err(Unread::TooLarge);
    }
    let mut bytes = Vec::new();
    while let Some(part) = answer.chunk().await.map_err(Unread::Broken)? {
        if part.len() > limit - bytes.len() {
            return Err(Unread::TooLarge);
        }
        bytes.extend_from_slice(&part);
    }
    Ok(bytes)
}
