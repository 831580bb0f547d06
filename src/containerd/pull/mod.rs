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
use crate::model::extensions::Pull;
use crate::model::{Error, ErrorCode, Extensions, Result};
use crate::registry::{Name, Settings};
use crate::tracker::{Fact, NewJob};

/// Refuse the name of an image that no registry can have.
pub(super) fn check_name(text: &str) -> Result<()> {
    Name::parse(text).map(drop)
}

/// Wait until the image of a job is there, if it is to be pulled. A request to end the job, or to
/// withdraw its start, ends the wait.
pub(super) async fn ready(core: &Arc<Core>, job: &NewJob) -> Result<()> {
    let settings = JobSettings::of(job)?;
    let Some(wanted) = wanted(core, &settings, &job.template.extensions()?).await? else {
        return Ok(());
    };
    let image = wanted.name.clone();
    let done = wait(core, job, &image, join(core, wanted)).await;
    core.facts.report(Fact::Progress { id: job.id.clone(), text: None });
    done
}

/// Wait until an image is there, if it is to be pulled.
pub(super) async fn image(
    core: &Arc<Core>,
    settings: &JobSettings,
    extensions: &Extensions,
) -> Result<()> {
    match wanted(core, settings, extensions).await? {
        Some(wanted) => join(core, wanted).pull.await,
        None => Ok(()),
    }
}

/// The image that is to be pulled, if one is.
async fn wanted(core: &Core, settings: &JobSettings, extensions: &Extensions) -> Result<Option<Wanted>> {
    if settings.is_on_host() {
        return Ok(None);
    }
    let (name, owner) = (settings.image()?, owner(&settings.registry));
    let snapshotter = core.snapshotter(extensions).await?;
    let policy = settings.policy(extensions);
    // Root and a process of its own may have what is there.
    if policy == Pull::Never && owner.is_none_or(|uid| uid == 0) {
        return Ok(None);
    }
    let found = core.images.find(&core.daemon, &snapshotter, name).await?;
    let is_open = found.as_ref().is_none_or(|image| image.is_for(owner));
    match policy {
        Pull::Never if is_open => return Ok(None),
        Pull::Never => {
            let text = format!(
                "image {name} was pulled with the credentials of another user, and by the policy \"never\" the registry is \
                 not asked whether this one may have it"
            );
            return Err(Error::new(ErrorCode::DeniedByDrms, text));
        }
        Pull::Missing if found.is_some() && is_open => return Ok(None),
        Pull::Missing | Pull::Always => {}
    }
    let always = policy == Pull::Always || !is_open;
    let (name, registry) = (Name::parse(name)?.to_string(), settings.registry.clone());
    Ok(Some(Wanted { name, always, snapshotter, registry }))
}

/// The user whose credentials are meant; `None` is the one of this process.
fn owner(registry: &Settings) -> Option<u32> {
    registry.owner.as_ref().map(|owner| owner.uid)
}

fn join(core: &Arc<Core>, wanted: Wanted) -> Joined {
    let begin = |wanted, progress| Box::pin(pull(Arc::clone(core), wanted, progress)) as _;
    core.pulls.join(wanted, begin)
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
    if !always
        && let Some(image) = core.images.find(&core.daemon, &snapshotter, &name).await?
        && image.is_for(owner(&registry))
    {
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
        owner: owner(&registry),
    };
    let pulled = fetch.run().await;
    pulled.map_err(|error| registry.explain(error).of(format_args!("cannot pull image {name}")))
}
