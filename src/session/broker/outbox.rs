//! The frames that are said to a client, in order.
//!
//! An answer is written by the thread that has it, if the client can take it at once; otherwise, and for what the client
//! is told without having asked, there is a task.

use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::{Mutex, MutexGuard, Notify, mpsc};
use tokio::time::timeout;

/// The time for a client to take a frame.
const PATIENCE: Duration = Duration::from_secs(30);
/// The most answers that wait for a client.
const ANSWERS: usize = 2;

/// See the module.
pub(super) struct Outbox {
    answers: mpsc::Sender<Vec<u8>>,
    writer: Mutex<Writer>,
    /// There is something to write that is in no queue.
    pub(super) rings: Notify,
}

/// The way to the client. Whoever has it locked writes whole frames, in order.
pub(super) struct Writer {
    half: OwnedWriteHalf,
    /// The end of a frame whose beginning is written.
    rest: Vec<u8>,
}

/// Answers that wait, for the task.
pub(super) type Answers = mpsc::Receiver<Vec<u8>>;

impl Outbox {
    pub(super) fn new(half: OwnedWriteHalf) -> (Self, Answers) {
        let (answers, waiting) = mpsc::channel(ANSWERS);
        let writer = Mutex::new(Writer { half, rest: Vec::new() });
        (Self { answers, writer, rings: Notify::new() }, waiting)
    }

    /// Say an answer, from a thread that may wait: of one that does not take its answers for a while, until it is let
    /// go. `news` takes what is to be said first.
    pub(super) fn answer(&self, frame: Vec<u8>, news: impl FnOnce() -> Vec<u8>) {
        if let Err(frame) = self.say_at_once(frame, news) {
            // The task finds out what is wrong, if something is.
            let _ = self.answers.blocking_send(frame);
        }
    }

    /// The same without a wait, also for news alone. Returns the frame if something comes before it; the news are not
    /// taken then.
    pub(super) fn say_at_once(
        &self,
        frame: Vec<u8>,
        news: impl FnOnce() -> Vec<u8>,
    ) -> std::result::Result<(), Vec<u8>> {
        if self.answers.capacity() == ANSWERS
            && let Ok(mut writer) = self.writer.try_lock()
            && writer.rest.is_empty()
        {
            let mut bytes = news();
            bytes.extend(frame);
            // The task finds out what is wrong, if something is.
            let written = writer.half.try_write(&bytes).unwrap_or(0);
            if written < bytes.len() {
                writer.rest = bytes.split_off(written);
                self.rings.notify_one();
            }
            return Ok(());
        }
        Err(frame)
    }

    /// The same, from a task.
    pub(super) async fn say(&self, frame: Vec<u8>) {
        let _ = self.answers.send(frame).await;
    }

    /// The way to the client, with nothing half written.
    pub(super) async fn writer(&self) -> io::Result<MutexGuard<'_, Writer>> {
        let mut writer = self.writer.lock().await;
        let rest = std::mem::take(&mut writer.rest);
        writer.write(&rest).await?;
        Ok(writer)
    }
}

impl Writer {
    /// Write a frame.
    pub(super) async fn write(&mut self, frame: &[u8]) -> io::Result<()> {
        timeout(PATIENCE, self.half.write_all(frame)).await?
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::UnixStream;

    use super::*;

    async fn outbox() -> (Outbox, Answers, UnixStream) {
        let (here, there) = UnixStream::pair().unwrap();
        let (_, half) = here.into_split();
        half.writable().await.unwrap();
        let (outbox, waiting) = Outbox::new(half);
        (outbox, waiting, there)
    }

    /// From a thread, as the broker does it.
    fn answer(outbox: &Outbox, frame: &str, news: &str) {
        let say = || outbox.answer(frame.into(), || news.into());
        std::thread::scope(|scope| scope.spawn(say).join().unwrap());
    }

    #[tokio::test]
    async fn an_answer_is_written_at_once_unless_something_comes_before_it() {
        let (outbox, mut waiting, mut there) = outbox().await;
        answer(&outbox, "one", "news, ");
        let mut bytes = [0; 9];
        there.read_exact(&mut bytes).await.unwrap();
        assert_eq!((&bytes, waiting.try_recv().is_err()), (b"news, one", true));
        let held = outbox.writer().await.unwrap();
        answer(&outbox, "two", "that stay");
        drop(held);
        answer(&outbox, "three", "that stay");
        assert_eq!([waiting.try_recv().unwrap(), waiting.try_recv().unwrap()], [&b"two"[..], b"three"]);
    }

    #[tokio::test]
    async fn what_a_client_does_not_take_at_once_is_written_before_all_else() {
        let (outbox, _waiting, mut there) = outbox().await;
        let large = "x".repeat(4 << 20);
        answer(&outbox, &large, "");
        outbox.rings.notified().await;
        let read = async {
            let mut bytes = vec![0; large.len() + 3];
            there.read_exact(&mut bytes).await.unwrap();
            bytes
        };
        let write = async { outbox.writer().await.unwrap().write(b"end").await.unwrap() };
        let (bytes, ()) = tokio::join!(read, write);
        assert_eq!(bytes, [large.as_bytes(), b"end"].concat());
    }
}
