//! Frames between a client and the broker: the length of a JSON text, four bytes with the largest first, and the text.

use std::io::{self, Read};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt};

/// The most bytes of what a client says.
pub const MAX_REQUEST: usize = 4 << 20;
/// The most bytes of an answer: some hundred for each of a million jobs.
pub const MAX_ANSWER: usize = 512 << 20;

const HEAD: usize = 4;
/// A text of this length is read at once.
const SMALL: usize = 4 << 10;

/// The frame of a message.
pub fn frame(message: &impl Serialize, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; HEAD];
    serde_json::to_writer(&mut bytes, message)?;
    let length = bytes.len() - HEAD;
    if length > most {
        return Err(too_large(length, most));
    }
    let head = u32::try_from(length).map_err(io::Error::other)?.to_be_bytes();
    bytes[..HEAD].copy_from_slice(&head);
    Ok(bytes)
}

/// The message of a text.
pub fn parse<T: DeserializeOwned>(text: &[u8]) -> io::Result<T> {
    // No value is nested deeper than serde_json allows.
    serde_json::from_slice(text).map_err(Into::into)
}

/// The text of the next frame; `None` at the end of the stream. The memory grows with what is there, whatever the head
/// says.
pub fn read(stream: &mut impl Read, most: usize) -> io::Result<Option<Vec<u8>>> {
    let mut head = [0; HEAD];
    let some = loop {
        match stream.read(&mut head) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => break read?,
        }
    };
    if some == 0 {
        return Ok(None);
    }
    stream.read_exact(&mut head[some..])?;
    let length = length(head, most)?;
    let mut text = Vec::with_capacity(length.min(SMALL));
    stream.take(length as u64).read_to_end(&mut text)?;
    whole(text, length).map(Some)
}

/// The length of the text of the next frame; `None` at the end of the stream.
pub async fn read_head(stream: &mut (impl AsyncRead + Unpin), most: usize) -> io::Result<Option<usize>> {
    let mut head = [0; HEAD];
    match stream.read(&mut head).await? {
        0 => return Ok(None),
        some => stream.read_exact(&mut head[some..]).await?,
    };
    length(head, most).map(Some)
}

/// The text of this length.
pub async fn read_text(stream: &mut (impl AsyncRead + Unpin), length: usize) -> io::Result<Vec<u8>> {
    let mut text = Vec::with_capacity(length.min(SMALL));
    stream.take(length as u64).read_to_end(&mut text).await?;
    whole(text, length)
}

fn length(head: [u8; HEAD], most: usize) -> io::Result<usize> {
    let length = usize::try_from(u32::from_be_bytes(head)).map_err(io::Error::other)?;
    if length > most { Err(too_large(length, most)) } else { Ok(length) }
}

fn whole(text: Vec<u8>, length: usize) -> io::Result<Vec<u8>> {
    if text.len() == length { Ok(text) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn too_large(length: usize, most: usize) -> io::Error {
    let text = format!("a message of {length} bytes, {most} are allowed");
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_frame_is_read_as_it_was_made_in_both_ways() {
        let bytes = [frame(&"one", 9).unwrap(), frame(&vec![2, 3], 9).unwrap()].concat();
        let mut stream = &bytes[..];
        assert_eq!(read(&mut stream, 9).unwrap().unwrap(), b"\"one\"");
        assert_eq!(parse::<Vec<u8>>(&read(&mut stream, 9).unwrap().unwrap()).unwrap(), [2, 3]);
        assert_eq!(read(&mut stream, 9).unwrap(), None);
        let mut stream = &bytes[..];
        let length = read_head(&mut stream, 9).await.unwrap().unwrap();
        assert_eq!(read_text(&mut stream, length).await.unwrap(), b"\"one\"");
        let length = read_head(&mut stream, 9).await.unwrap().unwrap();
        assert_eq!(read_text(&mut stream, length).await.unwrap(), b"[2,3]");
        assert_eq!(read_head(&mut stream, 9).await.unwrap(), None);
    }

    #[tokio::test]
    async fn what_is_no_frame_is_an_error() {
        let whole = frame(&"text", 9).unwrap();
        for end in 1..whole.len() {
            let error = read(&mut &whole[..end], 9).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{end}");
        }
        assert_eq!(
            read_text(&mut &whole[4..7], 6).await.unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
        assert!(read(&mut &whole[..], 5).unwrap_err().to_string().contains("6 bytes, 5 are allowed"));
        assert!(read_head(&mut &whole[..], 5).await.is_err());
        assert!(frame(&"text", 5).is_err());
        let deep = "[".repeat(1000) + &"]".repeat(1000);
        assert!(parse::<serde_json::Value>(deep.as_bytes()).is_err());
    }
}
