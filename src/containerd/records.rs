//! The records that the inits of jobs write at their ends. inotify tells of one some milliseconds before the daemon
//! tells of the end of its container, which nothing but the clean-up has to wait for.

use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use drmaa2_init::RECORD_FILE;
use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};
use once_cell::sync::OnceCell;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;

use super::job_dir::shared;
use crate::sync::Mutex;

/// The longest time that a clean-up waits for a container whose init has written its record.
const PATIENCE: Duration = Duration::from_secs(2);

/// The records that this process waits for: those of the jobs that it has started. Without them the daemon's events tell
/// of each end.
#[derive(Default)]
pub(super) struct Records {
    /// `None` if there is none to be had.
    inotify: OnceCell<Option<Arc<Inotify>>>,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    /// The jobs whose directories are watched, and the watches of the jobs.
    jobs: HashMap<WatchDescriptor, String>,
    watches: HashMap<String, WatchDescriptor>,
    /// The jobs whose ends were told by their records, and whose containers have not ended yet, as far as known.
    told: HashMap<String, Arc<Notify>>,
}

/// The news of records.
pub(super) struct News(AsyncFd<Events>);

struct Events(Arc<Inotify>);

impl AsRawFd for Events {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Records {
    /// Returns whether somebody has asked for their news.
    pub(super) fn are_followed(&self) -> bool {
        self.inotify.get().is_some()
    }

    /// Their news, for the first caller. `None` for any other, or if there can be none.
    pub(super) fn follow(&self) -> Option<News> {
        let mut new = None;
        self.inotify.get_or_init(|| {
            let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC);
            let inotify =
                inotify.inspect_err(|error| tracing::debug!(%error, "cannot watch for records"));
            new = inotify.ok().map(Arc::new);
            new.clone()
        });
        // SAFETY: the descriptor is open, and stays with what it is given to.
        let events = unsafe { AsyncFd::register(Events(new?)) };
        events.ok().map(News)
    }

    /// Wait for the next records. Returns the jobs whose they are; `None` if no more will be noticed.
    pub(super) async fn next(&self, news: &News) -> Option<Vec<String>> {
        loop {
            let mut ready = news.0.readable().await.ok()?;
            match ready.try_io(|events| Ok(events.get_ref().0.read_events()?)) {
                Ok(Ok(events)) => {
                    return Some(events.iter().filter_map(|event| self.job_of(event)).collect());
                }
                Ok(Err(error)) if error.raw_os_error() == Some(Errno::EINTR as i32) => {}
                Ok(Err(error)) => {
                    tracing::warn!(%error, "cannot watch for records any more");
                    return None;
                }
                Err(_would_block) => {}
            }
        }
    }

    /// Watch for the record of a job that is about to be started, in this directory.
    pub(super) fn watch(&self, id: &str, dir: &Path) {
        let Some(Some(inotify)) = self.inotify.get() else { return };
        let flags = AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_ONLYDIR;
        // Locked, so that its event finds the job.
        let mut table = self.table.lock();
        match inotify.add_watch(&shared(dir), flags) {
            Ok(watch) => table.watch(id, watch),
            Err(error) => tracing::debug!(id, %error, "cannot watch for the record of a job"),
        }
    }

    /// Note that the container of a job has ended. Returns whether the record has told the end of the job; if not, it
    /// does so no more.
    pub(super) fn has_told(&self, id: &str) -> bool {
        let mut table = self.table.lock();
        table.unwatch(id);
        let told = table.told.remove(id);
        told.inspect(|gone| gone.notify_waiters()).is_some()
    }

    /// Note whether the record of a job tells its end. False if its container has ended before this: the daemon's event
    /// has told it.
    pub(super) fn tells(&self, id: &str, whole: bool) -> bool {
        let mut table = self.table.lock();
        let Some(watch) = table.unwatch(id) else { return false };
        if let Some(Some(inotify)) = self.inotify.get() {
            // It ends with the directory at the latest.
            let _ = inotify.rm_watch(watch);
        }
        if whole {
            table.told.insert(id.to_owned(), Arc::default());
        }
        whole
    }

    /// Forget what was told: ends of containers may have been missed.
    pub(super) fn forget(&self) {
        self.table.lock().told.drain().for_each(|(_, gone)| gone.notify_waiters());
    }

    /// Wait until the container of a job whose record has told its end has ended too.
    pub(super) async fn gone(&self, id: &str) {
        let gone = self.table.lock().told.get(id).cloned();
        let Some(gone) = gone else { return };
        let mut noticed = std::pin::pin!(gone.notified());
        noticed.as_mut().enable();
        // It may have ended before this waited.
        if self.table.lock().told.contains_key(id)
            && tokio::time::timeout(PATIENCE, noticed).await.is_err()
        {
            self.table.lock().told.remove(id);
        }
    }

    /// The job with a record according to this event.
    fn job_of(&self, event: &InotifyEvent) -> Option<String> {
        let mut table = self.table.lock();
        let id = table.jobs.get(&event.wd)?.clone();
        if event.mask.contains(AddWatchFlags::IN_IGNORED) {
            // The directory has gone.
            table.unwatch(&id);
        }
        event.name.as_ref().is_some_and(|name| name == RECORD_FILE).then_some(id)
    }
}

impl Table {
    fn watch(&mut self, id: &str, watch: WatchDescriptor) {
        self.unwatch(id);
        self.jobs.insert(watch, id.to_owned());
        self.watches.insert(id.to_owned(), watch);
    }

    fn unwatch(&mut self, id: &str) -> Option<WatchDescriptor> {
        let watch = self.watches.remove(id);
        watch.inspect(|watch| drop(self.jobs.remove(watch)))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use drmaa2_init::Record;

    use super::*;

    fn job(jobs: &Path, id: &str) -> PathBuf {
        let dir = jobs.join(id);
        fs::create_dir_all(shared(&dir)).unwrap();
        dir
    }

    #[tokio::test]
    async fn a_record_is_told_once_unless_its_container_has_ended_before() {
        let (jobs, records) = (tempfile::tempdir().unwrap(), Records::default());
        let [early, late, gone, poor] = ["early", "late", "gone", "poor"].map(|id| job(jobs.path(), id));
        records.watch("early", &early);
        let news = records.follow().unwrap();
        assert!(records.follow().is_none() && records.are_followed());
        for (id, dir) in [("early", &early), ("late", &late), ("gone", &gone), ("poor", &poor)] {
            records.watch(id, dir);
        }
        fs::remove_dir_all(&gone).unwrap();
        assert!(!records.has_told("early"), "its container has ended");
        for dir in [&early, &late] {
            fs::write(shared(dir).join("order"), "").unwrap();
            Record::default().write(&shared(dir)).unwrap();
        }
        let mut told = Vec::new();
        while told.is_empty() {
            told = records.next(&news).await.unwrap();
        }
        assert_eq!(told, ["late"]);
        assert!(
            !records.tells("early", true) && records.tells("late", true) && !records.tells("late", true)
        );
        let (waited, ()) = tokio::join!(records.gone("late"), async {
            assert!(records.has_told("late"));
        });
        assert_eq!((waited, records.has_told("late")), ((), false));
        records.gone("late").await;
        assert!(
            !records.tells("poor", false) && !records.has_told("poor"),
            "its container's end tells more"
        );
        let table = records.table.lock();
        assert!(table.jobs.is_empty() && table.watches.is_empty() && table.told.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_clean_up_does_not_wait_for_ever_for_an_end_that_is_never_told() {
        let records = Records::default();
        records.table.lock().told.insert("a".into(), Arc::default());
        let begun = tokio::time::Instant::now();
        records.gone("a").await;
        assert_eq!(begun.elapsed(), PATIENCE);
        assert!(!records.has_told("a"));
        records.table.lock().told.insert("b".into(), Arc::default());
        tokio::join!(records.gone("b"), async { records.forget() });
        assert_eq!(begun.elapsed(), PATIENCE);
    }
}
