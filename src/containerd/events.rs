//! The conversion of the daemon's events to facts.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use containerd_client::events::{TaskExit, TaskOom, TaskPaused, TaskResumed, TaskStart};
use containerd_client::services::v1::{PublishRequest, SubscribeRequest};
use containerd_client::tonic::Streaming;
use containerd_client::types::Envelope;
use prost::{DecodeError, Message};
use prost_types::{Any, Timestamp};
use ulid::Ulid;

use super::connect::QUICK;
use super::finish::{self, Exit};
use super::job_dir;
use super::tracker_core::Core;
use crate::model::{Error, Result, now, now_nanos};
use crate::tracker::Fact;

const START: &str = "/tasks/start";
const PAUSED: &str = "/tasks/paused";
const RESUMED: &str = "/tasks/resumed";
const EXIT: &str = "/tasks/exit";
const OOM: &str = "/tasks/oom";
const TOPICS: [&str; 5] = [START, PAUSED, RESUMED, EXIT, OOM];

/// First and last pause between greetings, and between attempts to subscribe.
const MIN_PAUSE: Duration = Duration::from_millis(1);
const MAX_PAUSE: Duration = Duration::from_secs(2);

/// Follow the events for as long as the process lives.
pub(super) async fn follow(core: Arc<Core>) {
    let mut pause = MIN_PAUSE;
    loop {
        let error = match subscribe(&core).await {
            Ok(stream) => {
                // Earlier events are not repeated: the receiver of this fact looks at its jobs anew.
                core.facts.report(Fact::Live);
                pause = MIN_PAUSE;
                read(&core, stream).await
            }
            Err(error) => error,
        };
        tracing::info!(%error, "no events for now");
        core.facts.report(Fact::Lost { error });
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(MAX_PAUSE);
    }
}

/// Subscribe, and return when the subscription is known to be in force.
///
/// The daemon answers with its first event and not before. So an event is sent, repeatedly, since it is
/// lost if it comes before the subscription.
async fn subscribe(core: &Core) -> Result<Streaming<Envelope>> {
    let hello = format!("/drmaa2/hello/{}", Ulid::generate());
    let namespace = core.daemon.namespace();
    let filter = |topic: &str| format!("namespace=={namespace:?},topic=={topic:?}");
    let filters = TOPICS.iter().copied().chain([hello.as_str()]).map(filter).collect();
    let mut events = core.daemon.endless()?.events();
    let mut subscribed = pin!(events.subscribe(SubscribeRequest { filters }));
    let mut pause = MIN_PAUSE;
    loop {
        tokio::select! {
            answer = &mut subscribed => {
                return Ok(answer.map_err(|status| core.daemon.error(status))?.into_inner());
            }
            () = tokio::time::sleep(pause) => greet(core, &hello).await?,
        }
        pause = (pause * 2).min(MAX_PAUSE);
    }
}

async fn greet(core: &Core, topic: &str) -> Result<()> {
    let event = Any { type_url: "drmaa2.Hello".to_owned(), value: Vec::new() };
    let request = PublishRequest { topic: topic.to_owned(), event: Some(event) };
    let answer = core.daemon.within(QUICK)?.events().publish(request).await;
    answer.map(drop).map_err(|status| core.daemon.error(status))
}

/// Read events until there are no more; returns the reason.
async fn read(core: &Arc<Core>, mut stream: Streaming<Envelope>) -> Error {
    loop {
        match stream.message().await {
            Ok(Some(envelope)) => {
                if let Err(error) = take(core, &envelope) {
                    tracing::warn!(%error, topic = envelope.topic, "cannot read an event");
                }
            }
            Ok(None) => return Error::internal("the daemon closed it"),
            Err(status) => return core.daemon.error(status),
        }
    }
}

fn take(core: &Arc<Core>, envelope: &Envelope) -> std::result::Result<(), DecodeError> {
    let event = envelope.event.as_ref().map_or(&[][..], |event| &event.value);
    let at = envelope.timestamp.as_ref();
    match envelope.topic.as_str() {
        START => {
            let at = at.map_or_else(now, finish::millis);
            let TaskStart { container_id, pid } = TaskStart::decode(event)?;
            let Some(id) = core.job_of(&container_id) else { return Ok(()) };
            let dir = core.job_dir(&id);
            // A job of the library may be withdrawn until its init has begun: until then only the launch
            // can tell.
            if !dir.is_dir() || job_dir::is_bare(&dir) || job_dir::has_begun(&dir) {
                core.facts.started(id, pid, at, job_dir::image_of(&dir));
            }
        }
        PAUSED => {
            let Some(id) = core.job_of(&TaskPaused::decode(event)?.container_id) else { return Ok(()) };
            core.facts.report(Fact::Suspended { id, at: at.map_or_else(now_nanos, nanos) });
        }
        RESUMED => {
            let Some(id) = core.job_of(&TaskResumed::decode(event)?.container_id) else { return Ok(()) };
            core.facts.report(Fact::Resumed { id, at: at.map_or_else(now_nanos, nanos) });
        }
        OOM => {
            let Some(id) = core.job_of(&TaskOom::decode(event)?.container_id) else { return Ok(()) };
            // An entry goes with the directory, which another process may remove.
            let mut memory = core.memory.lock();
            memory.insert(id);
            memory.retain(|id| core.job_dir(id).is_dir());
        }
        EXIT => exited(core, TaskExit::decode(event)?),
        _ => {}
    }
    Ok(())
}

fn nanos(at: &Timestamp) -> i64 {
    at.seconds.saturating_mul(1_000_000_000).saturating_add(at.nanos.into())
}

fn exited(core: &Arc<Core>, event: TaskExit) {
    let TaskExit { container_id, id, pid, exit_status, exited_at } = event;
    // The end of an additional process in the container is an exit event too.
    if id != container_id {
        return;
    }
    let Some(id) = core.job_of(&container_id) else { return };
    if core.facts.ended_while_launching(&id, pid) {
        return;
    }
    if let Some(outcome) = finish::recorded(&core.job_dir(&id)) {
        let outcome = finish::with_event(core, &id, outcome);
        if !finish::needs_daemon(&outcome) {
            return core.facts.report(Fact::Ended { id, outcome });
        }
    }
    let core = core.clone();
    let exit = Exit { status: exit_status, at: exited_at };
    tokio::spawn(async move { finish::report_end(&core, &id, Some(exit), None).await });
}
