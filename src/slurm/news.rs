//! News of jobs from nodes that write to the same machine's file system; elsewhere nothing is heard, and Slurm's
//! answers have to do. A process may also wait for a job that another one submits at this moment.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::Path;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use tokio::io::unix::AsyncFd;

/// The watch of the directories of jobs and of news.
pub(super) struct News(Option<Watch>);

struct Watch {
    events: AsyncFd<Events>,
    news: WatchDescriptor,
}

struct Events(Inotify);

impl AsRawFd for Events {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// An event of the directories.
pub(super) enum Word {
    /// There is news of these jobs.
    Of(Vec<String>),
    /// There are new jobs.
    Submitted,
}

impl News {
    /// Watch these directories. Without a watch there is never any news.
    pub(super) fn watch(jobs_dir: &Path, arrays_dir: &Path, news_dir: &Path) -> Self {
        let watch = || {
            let events = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
            let news = events.add_watch(news_dir, AddWatchFlags::IN_CLOSE_WRITE)?;
            events.add_watch(jobs_dir, AddWatchFlags::IN_CREATE)?;
            // A directory of an array gets its name when it is complete.
            events.add_watch(arrays_dir, AddWatchFlags::IN_MOVED_TO)?;
            // SAFETY: the descriptor is open, and stays with what it is given to.
            let events = unsafe { AsyncFd::register(Events(events)) };
            Ok(Watch { events: events.map_err(io::Error::from)?, news })
        };
        let watched: io::Result<_> = watch();
        Self(watched.inspect_err(|error| tracing::debug!(%error, "cannot watch for news")).ok())
    }

    /// Wait for the next news.
    pub(super) async fn next(&mut self) -> Word {
        let Some(watch) = &self.0 else { return std::future::pending().await };
        loop {
            let Ok(mut ready) = watch.events.readable().await else {
                return std::future::pending().await;
            };
            match ready.try_io(|events| Ok(events.get_ref().0.read_events()?)) {
                Ok(Ok(events)) => {
                    let of_jobs = events.iter().filter(|event| event.wd == watch.news);
                    let names = of_jobs.filter_map(|event| event.name.clone()?.into_string().ok());
                    let names: Vec<String> = names.collect();
                    return if names.is_empty() { Word::Submitted } else { Word::Of(names) };
                }
                Ok(Err(_)) => return std::future::pending().await,
                Err(_would_block) => {}
            }
        }
    }
}
