//! Writing content into the daemon's store, from where an earlier attempt stopped.

use std::collections::HashMap;
use std::time::Duration;

use containerd_client::services::v1::{
    AbortRequest, Info, UpdateRequest, WriteAction, WriteContentRequest, WriteContentResponse,
};
use containerd_client::tonic::{Code, Status, Streaming};
use futures_util::stream;
use tokio::sync::mpsc;

use super::super::connect::{Calls, Daemon, QUICK, RUN};
use super::super::status;
use crate::model::{Error, ErrorCode};
use crate::registry::Failure;

/// Pauses while another program writes the same content: the daemon lets nobody wait for that.
const MIN_PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_secs(2);
/// The time that the daemon may take to write a piece. The stream of all pieces has no deadline: how long
/// they take to come is up to the registry.
const PATIENCE: Duration = Duration::from_secs(30);

/// The content to write.
#[derive(Clone, Copy)]
pub(super) struct Content<'a> {
    /// `layer`, `config`, `manifest` or `index`.
    pub(super) kind: &'a str,
    pub(super) digest: &'a str,
    pub(super) size: u64,
}

impl Content<'_> {
    /// The name of its unfinished form: that of the daemon's own clients, so that all go on with the
    /// same one.
    fn reference(&self) -> String {
        format!("{}-{}", self.kind, self.digest)
    }
}

/// Content being written.
pub(super) struct Ingest<'a> {
    daemon: &'a Daemon,
    content: Content<'a>,
    requests: mpsc::Sender<WriteContentRequest>,
    answers: Streaming<WriteContentResponse>,
    /// An answer is still to come.
    asked: bool,
    /// The number of bytes that are there, or will be when the last answer has come.
    pub(super) offset: u64,
}

impl<'a> Ingest<'a> {
    /// Begin, or go on; `None` if the content is there. `calls` has the lease that is to keep it.
    pub(super) async fn open(
        daemon: &'a Daemon,
        calls: &Calls,
        content: Content<'a>,
    ) -> Result<Option<Self>, Failure> {
        let mut pause = MIN_PAUSE;
        loop {
            let (requests, receiver) = mpsc::channel(1);
            let started = start(calls, content, &requests, receiver);
            let mut ingest = match in_time(PATIENCE, started).await {
                Ok((answers, offset)) => {
                    Ingest { daemon, content, requests, answers, asked: false, offset }
                }
                Err(status) if status.code() == Code::AlreadyExists => return Ok(None),
                Err(status) if status.message().contains("locked") => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(MAX_PAUSE);
                    continue;
                }
                Err(status) => return Err(failure(daemon, content, status)),
            };
            if ingest.offset <= content.size {
                return Ok(Some(ingest));
            }
            // It cannot become what it should.
            ingest = ingest.closed();
            ingest.abort().await;
        }
    }

    /// More of it. The daemon writes it while more is read; what comes of that is told the next time.
    pub(super) async fn write(&mut self, data: Vec<u8>) -> Result<(), Failure> {
        let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
        let request = WriteContentRequest { data, ..self.request(WriteAction::Write) };
        self.ask(request).await?;
        self.offset = self.offset.saturating_add(length);
        Ok(())
    }

    /// That is all. What does not have its digest is thrown away.
    pub(super) async fn commit(mut self, labels: HashMap<String, String>) -> Result<(), Failure> {
        let request = WriteContentRequest { labels, ..self.request(WriteAction::Commit) };
        // All of it goes to stable storage.
        let done = match self.ask(request).await {
            Ok(()) => self.settle_within(RUN).await,
            failed => failed,
        };
        let Err(failure) = done else { return Ok(()) };
        if !failure.passes {
            self.closed().abort().await;
        }
        Err(failure)
    }

    /// No more for now. What was given to the daemon is what the next one goes on with.
    pub(super) async fn leave(mut self) {
        if let Err(failure) = self.settle().await {
            tracing::debug!(error = %failure.error, "the last of it was not written");
        }
    }

    fn request(&self, action: WriteAction) -> WriteContentRequest {
        WriteContentRequest { offset: signed(self.offset), ..request(self.content, action) }
    }

    /// Ask when the answer to the last request has come: one at a time is in memory, and on its way.
    async fn ask(&mut self, request: WriteContentRequest) -> Result<(), Failure> {
        self.settle().await?;
        // It is closed only if the daemon has given up, and then there is an answer that tells why.
        let _ = self.requests.send(request).await;
        self.asked = true;
        Ok(())
    }

    /// The answer that is still to come.
    async fn settle(&mut self) -> Result<(), Failure> {
        self.settle_within(PATIENCE).await
    }

    async fn settle_within(&mut self, patience: Duration) -> Result<(), Failure> {
        if !std::mem::take(&mut self.asked) {
            return Ok(());
        }
        match in_time(patience, self.answers.message()).await {
            Ok(Some(_)) => Ok(()),
            Ok(None) => {
                let text = format!("{}: the daemon stopped writing it", self.content.digest);
                Err(Error::new(ErrorCode::TryLater, text).into())
            }
            Err(status) if status.code() == Code::AlreadyExists => Ok(()),
            Err(status) => Err(failure(self.daemon, self.content, status)),
        }
    }

    /// The daemon is told that nothing more will come, and lets go of it.
    fn closed(self) -> Self {
        let (requests, _) = mpsc::channel(1);
        Self { requests, ..self }
    }

    /// Throw away what there is of it.
    async fn abort(mut self) {
        // The end of the answers comes when the daemon has let go.
        while let Ok(Some(_)) = in_time(PATIENCE, self.answers.message()).await {}
        let Ok(calls) = self.daemon.within(QUICK) else { return };
        let request = AbortRequest { r#ref: self.content.reference() };
        match calls.content().abort(request).await {
            Err(status) if !status::not_found(&status) => {
                tracing::debug!(%status, "cannot abort a write; it will expire with its lease");
            }
            _ => {}
        }
    }
}

/// An answer of the daemon, if it comes in time.
async fn in_time<T>(
    patience: Duration,
    answer: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    tokio::time::timeout(patience, answer).await.unwrap_or_else(|_| {
        Err(Status::deadline_exceeded(format!("no answer within {} s", patience.as_secs())))
    })
}

async fn start(
    calls: &Calls,
    content: Content<'_>,
    requests: &mpsc::Sender<WriteContentRequest>,
    receiver: mpsc::Receiver<WriteContentRequest>,
) -> Result<(Streaming<WriteContentResponse>, u64), Status> {
    // The daemon answers nothing before it has the first request, which has its place in the channel.
    let _ = requests.send(request(content, WriteAction::Stat)).await;
    let stream = stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)));
    let mut answers = calls.content().write(stream).await?.into_inner();
    let first = answers.message().await?.unwrap_or_default();
    Ok((answers, u64::try_from(first.offset).unwrap_or(0)))
}

fn request(content: Content<'_>, action: WriteAction) -> WriteContentRequest {
    WriteContentRequest {
        action: action.into(),
        r#ref: content.reference(),
        total: signed(content.size),
        expected: content.digest.to_owned(),
        ..WriteContentRequest::default()
    }
}

fn failure(daemon: &Daemon, content: Content<'_>, status: Status) -> Failure {
    // Digest and size are checked at the end.
    if status.code() == Code::FailedPrecondition {
        let cause = status.message();
        let Content { kind, digest, .. } = content;
        return Error::argument(format!("the registry's {kind} {digest} is corrupt: {cause}")).into();
    }
    daemon.error(status).into()
}

/// Set labels of content that is there.
pub(super) async fn label(
    daemon: &Daemon,
    digest: &str,
    labels: HashMap<String, String>,
) -> Result<(), Failure> {
    let paths = labels.keys().map(|label| format!("labels.{label}")).collect();
    let request = UpdateRequest {
        info: Some(Info { digest: digest.to_owned(), labels, ..Info::default() }),
        update_mask: Some(prost_types::FieldMask { paths }),
    };
    let updated = daemon.within(QUICK)?.content().update(request).await;
    updated.map(drop).map_err(|status| daemon.error(status).into())
}

pub(super) fn signed(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
