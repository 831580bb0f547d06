//! Containers for the steps of a cluster's jobs: what is asked for is checked, and its files are opened with the rights of
//! the user; the tracker does the rest.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::Broker;
use super::peer::Peer;
use super::place::Place;
use super::reply::refused;
use crate::config::Config;
use crate::container::spec::{STAGE_IN, STAGE_OUT, STDERR, STDIN, STDOUT};
use crate::drms;
use crate::model::extensions::PREFIX;
use crate::model::{
    Error, ErrorCode, JobTemplate, Result, STEP_ATTRIBUTES, StepContainer, StepFile, Submission, Text,
};
use crate::session::behalf::Behalf;
use crate::session::engine::Engine;
use crate::session::message::Told;
use crate::session::{guests, paths, policy};
use crate::store::Claim;
use crate::tracker::{OpenFile, Step, StepNews, Submitter};
use crate::wire::{self, MAX_ANSWER};
use crate::{procfs, rights};

/// The most files and mounts of a container: each is a descriptor of this process for a while.
const MOST_FILES: usize = 256;

impl Broker {
    /// Run a container for a client, and tell it what becomes of that.
    pub(super) fn step(&self, peer: &Arc<Peer>, container: StepContainer) {
        let (sender, mut news) = mpsc::unbounded_channel();
        match self.step_of(peer, container) {
            Err(error) => drop(sender.send(StepNews::Failed(error))),
            Ok((engine, step)) => match engine.tracker().steps() {
                None => {
                    let error = Error::unsupported("a container for a step on this runtime");
                    drop(sender.send(StepNews::Failed(error)));
                }
                Some(steps) => steps.run_step(step, Box::new(move |news| drop(sender.send(news)))),
            },
        }
        let peer = Arc::clone(peer);
        self.runtime.spawn(async move {
            while let Some(news) = news.recv().await {
                match wire::frame(&Told::Step(news), MAX_ANSWER) {
                    Ok(frame) => peer.outbox.say(frame).await,
                    Err(error) => tracing::error!(%error, "the news of a container cannot be written"),
                }
            }
        });
    }

    /// See to the containers of a broker that was killed.
    pub(super) fn tend_steps(&self) {
        let tended = self.world.default_engine().map(|engine| {
            if let Some(steps) = engine.tracker().steps() {
                steps.tend_steps(Box::new(|text| {
                    Claim::of_text(text).pid().and_then(procfs::descriptor)
                }));
            }
        });
        if let Err(error) = tended {
            tracing::warn!(%error, "cannot see to the containers of steps");
        }
    }

    fn step_of(&self, peer: &Peer, container: StepContainer) -> Result<(Arc<Engine>, Step)> {
        let submitter = peer.submitter.get().ok_or_else(|| refused(peer))?.clone();
        let config = self.world.config.reload()?;
        if submitter.uid != 0 && !config.guests.steps {
            let text = "containers for the steps of a cluster: the site does not allow them to users, \
                        `steps` in [guests]";
            return Err(Error::new(ErrorCode::DeniedByDrms, text));
        }
        let StepContainer { template, init, job_dir, files } = container;
        let template = JobTemplate { defaults: BTreeMap::new(), ..*template };
        // Its limits are those of its control group.
        template.check(&[&["jobCategory"], &STEP_ATTRIBUTES[..]].concat(), Submission::Single)?;
        let behalf = Behalf::Guest(Box::new(submitter.clone()));
        policy::check(&behalf, &submitter, &template, &config.guests)?;
        let template = limited(&config, &submitter, template)?;
        files.iter().try_for_each(check_target)?;
        let mounts = template.extensions()?.mounts;
        let count = files.len() + mounts.len();
        if count > MOST_FILES {
            let text = format!(
                "{count} files and mounts for the container of a step, {MOST_FILES} are allowed"
            );
            return Err(Error::new(ErrorCode::OutOfResource, text));
        }
        let (target, _) = config.contact(None)?;
        let home = paths::home(submitter.uid)?;
        let settings =
            drms::job_settings(&config, &target, &template, submitter.clone(), Some(home.as_path()))?;
        let engine = self.world.engine(&target.name()?)?;
        let (init, job_dir, files, mounts) = rights::of(&submitter, || {
            let opened =
                files.into_iter().map(|file| Ok((open(&file.source)?, file.target, file.read_only)));
            let files = opened.collect::<Result<_>>()?;
            let mounts = mounts.iter().map(|mount| open(&mount.source)).collect::<Result<_>>()?;
            Ok((open(&init)?, open(&job_dir)?, files, mounts))
        })?;
        let Place { group, own_groups, rlimits, process } = Place::of(&peer.claim)?;
        rights::of(&submitter, || engine.tracker().check_template(&template, &settings))?;
        let client = peer.claim.to_string();
        #[rustfmt::skip]
        let step = Step {
            template, settings, submitter, init, job_dir, files, mounts, group, own_groups, rlimits, client, process,
        };
        Ok((engine, step))
    }
}

/// The template of a container as the site limits it.
fn limited(config: &Config, submitter: &Submitter, mut template: JobTemplate) -> Result<JobTemplate> {
    if config.image(&template).is_none_or(|image| !drms::is_image(&image)) {
        return Err(Error::argument("the container of a step needs an image"));
    }
    if submitter.uid != 0 {
        guests::check_registry(&config.guests, config, &template)?;
        if config.guests.read_only {
            template.extensions.insert(format!("{PREFIX}read_only"), Text::from("on"));
        }
    }
    Ok(template)
}

/// Refuse a file in another place than those that the init has: the runtime makes what it mounts on, as root.
fn check_target(file: &StepFile) -> Result<()> {
    let is_numbered = |place: &str| {
        let number = file.target.strip_prefix(place).and_then(|rest| rest.strip_prefix('/'));
        number.is_some_and(|number| {
            !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit())
        })
    };
    let is_stream = [STDIN, STDOUT, STDERR].contains(&file.target.as_str());
    match is_stream || is_numbered(STAGE_IN) || is_numbered(STAGE_OUT) {
        true => Ok(()),
        false => Err(Error::argument(format!("\"{}\" is no place for a file of an init", file.target))),
    }
}

/// Open a file, whatever it is, to mount it; with the rights of the thread.
fn open(path: &str) -> Result<OpenFile> {
    let opened = File::options().read(true).custom_flags(libc::O_PATH).open(path);
    let opened = opened.and_then(|file| Ok(OpenFile { is_dir: file.metadata()?.is_dir(), file }));
    opened.map_err(|error| Error::new(ErrorCode::of_io(&error), format!("{path}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(target: &str) -> StepFile {
        StepFile { source: "/f".into(), target: target.into(), read_only: true }
    }

    #[test]
    fn files_are_where_the_init_has_them() {
        for target in ["/.drmaa2/stdin", "/.drmaa2/stderr", "/.drmaa2/in/0", "/.drmaa2/out/12"] {
            assert_eq!(check_target(&file(target)), Ok(()), "{target}");
        }
        for target in [
            "",
            "/etc/passwd",
            "/.drmaa2/job/x",
            "/.drmaa2/in",
            "/.drmaa2/in/",
            "/.drmaa2/in/0/1",
            "/.drmaa2/in/..",
        ] {
            assert_eq!(
                check_target(&file(target)).unwrap_err().code,
                ErrorCode::InvalidArgument,
                "{target}"
            );
        }
    }

    #[test]
    fn the_site_says_which_images_and_whether_they_can_be_written() {
        let config = Config::of_text("[guests]\nread_only = true\nregistries = ['docker.io']");
        let of = |uid: u32, image: &str| {
            let submitter = Submitter { uid, ..crate::tracker::NewJob::for_tests("01j").submitter };
            let job_category = Some(image.into());
            limited(&config, &submitter, JobTemplate { job_category, ..JobTemplate::default() })
        };
        assert!(of(1000, "busybox").unwrap().extensions().unwrap().read_only);
        assert!(!of(0, "busybox").unwrap().extensions().unwrap().read_only);
        assert_eq!(of(1000, "far.example/a").unwrap_err().code, ErrorCode::DeniedByDrms);
        assert_eq!(of(0, "host").unwrap_err().code, ErrorCode::InvalidArgument);
    }
}
