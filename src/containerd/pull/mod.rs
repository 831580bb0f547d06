//! Getting images that the daemon does not have.
//!
//! All jobs of a process that want the same image wait for one pull, which is carried by those who
//! wait: when the last of them gives up, it ends. Among processes a lock decides who pulls; the others
//! find the image when it is their turn.

mod fetch;
mod ingest;
mod lease;
mod lock;
mod progress;
mod running;

use std::pin::pin;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;

use self::fetch::Fetch;
use self::progress::{Progress, State};
pub(super) use self::running::Pulls;
use self::running::{Joined, Wanted};
use super::tracker_core::Core;
use super::{JobSettings, withdraw};
use crate::model::Result;
use crate::model::extensions::Pull;
use crate::registry::Name;
use crate::tracker::{Fact, NewJob};

/// Refuse the name of an image that no registry can have.
pub(super) fn check_name(text: &str) -> Result<()> {
    Name::parse(text).map(drop)
}

/// Wait until the image of a job is there, if it is to be pulled. A request to end the job, or to
/// withdraw its start, ends the wait.
pub(super) async fn ready(core: &Arc<Core>, job: &NewJob) -> Result<()> {
    let settings = JobSettings::of(job)?;
    if settings.is_on_host() {
        return Ok(());
    }
    let name = settings.image()?;
    let extensions = job.template.extensions()?;
    let snapshotter = core.snapshotter(&extensions).await?;
    let always = match settings.policy(&extensions) {
        Pull::Never => return Ok(()),
        Pull::Missing if core.images.find(&core.daemon, &snapshotter, name).await?.is_some() => {
            return Ok(());
        }
        Pull::Missing => false,
        Pull::Always => true,
    };
    let name = Name::parse(name)?.to_string();
    let wanted = Wanted { name, always, snapshotter, registry: settings.registry };
    let image = wanted.name.clone();
    let begin = |wanted, progress| Box::pin(pull(Arc::clone(core), wanted, progress)) as _;
    let joined = core.pulls.join(wanted, begin);
    let done = wait(core, job, &image, joined).await;
    core.facts.report(Fact::Progress { id: job.id.clone(), text: None });
    done
}

async fn wait(core: &Core, job: &NewJob, image: &str, joined: Joined) -> Result<()> {
    let Joined { mut pull, mut progress } = joined;
    let mut unwanted = pin!(withdraw::unwanted(core, &job.id));
    progress.mark_changed();
    let mut next = Instant::now();
    loop {
        tokio::select! {
            biased;
            reason = &mut unwanted => return Err(reason),
            done = &mut pull => return done,
            Some(state) = news(&mut progress, next) => {
                let text = Some(state.text(image));
                core.facts.report(Fact::Progress { id: job.id.clone(), text });
                next = Instant::now() + state.interval();
            }
        }
    }
}

/// The state of a pull, once that has changed, and not before some time. The last change before a
/// standstill is told like any other.
async fn news(progress: &mut watch::Receiver<State>, not_before: Instant) -> Option<State> {
    tokio::time::sleep_until(not_before).await;
    progress.changed().await.ok()?;
    Some(*progress.borrow_and_update())
}

async fn pull(core: Arc<Core>, wanted: Wanted, progress: Progress) -> Result<()> {
    let core = &*core;
    let Wanted { name, always, snapshotter, registry } = wanted;
    let settings = &core.settings;
    let what = format!("{} {} {name}", settings.address.display(), settings.namespace);
    let ours = lock::turn(settings.pulls_dir.clone(), &what, &core.pulls.turns).await;
    let _ours = ours.map_err(|error| error.of(format_args!("cannot pull image {name}")))?;
    if !always && core.images.find(&core.daemon, &snapshotter, &name).await?.is_some() {
        return Ok(());
    }
    let fetch = Fetch {
        daemon: &core.daemon,
        snapshotter: &snapshotter,
        settings: &registry,
        locks: &settings.pulls_dir,
        unpacks: &core.pulls.unpacks,
        name: &name,
        progress: &progress,
    };
    let pulled = fetch.run().await;
    pulled.map_err(|error| registry.explain(error).of(format_args!("cannot pull image {name}")))
}
