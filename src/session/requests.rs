//! Requests to the runtime that nobody waits for: ends of jobs that were asked for before, and resumptions of jobs whose
//! time is over.
//!
//! A few threads make them, however many jobs there are. While the runtime does not answer, one request after
//! another is tried, with pauses, and all others wait behind it: so a runtime that hangs costs one deadline
//! at a time, and nothing that was asked for is lost.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::progress::next_pause;
use crate::model::{Control, ErrorCode, Result};
use crate::runtime;
use crate::sync::{Condvar, Mutex};
use crate::tracker::JobTracker;

/// The most threads.
const THREADS: usize = 4;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Request {
    /// Control a job.
    Control(String, Control),
    /// End a job whose end was requested before.
    EndAgain(String, Control),
}

/// The requests of an engine.
pub(super) struct Requests {
    tracker: Arc<dyn JobTracker>,
    queue: Mutex<Queue>,
    news: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Request>,
    /// The ones that wait or are being made. None of them is made twice at a time.
    known: HashSet<Request>,
    threads: usize,
    /// The runtime did not answer: the time of the next try, and the pause before it.
    pause: Option<(Instant, Duration)>,
    closed: bool,
}

impl Requests {
    pub(super) fn to(tracker: Arc<dyn JobTracker>) -> Arc<Self> {
        Arc::new(Self { tracker, queue: Mutex::default(), news: Condvar::new() })
    }

    /// Have a request made soon, unless it is on its way already.
    pub(super) fn add(self: &Arc<Self>, request: Request) {
        let mut queue = self.queue.lock();
        if queue.known.insert(request.clone()) {
            queue.waiting.push_back(request);
        }
        // Also for one that is known: there may have been no thread for it.
        self.start_thread(&mut queue);
    }

    /// Start another thread if there is work for it.
    fn start_thread(self: &Arc<Self>, queue: &mut Queue) {
        let most = if queue.pause.is_some() { 1 } else { THREADS };
        if queue.waiting.is_empty() || queue.threads >= most || queue.threads > queue.waiting.len() {
            return;
        }
        let this = Arc::clone(self);
        match runtime::thread("drmaa2-control", move || this.work()) {
            Ok(()) => queue.threads += 1,
            // The next request tries again.
            Err(error) => tracing::warn!(%error, "no thread to control jobs"),
        }
    }

    /// Make no more of them.
    pub(super) fn close(&self) {
        self.queue.lock().closed = true;
        self.news.notify_all();
    }

    /// The body of a thread; it ends when there is nothing to do.
    fn work(self: &Arc<Self>) {
        let mut queue = self.queue.lock();
        loop {
            if queue.closed || queue.waiting.is_empty() || (queue.pause.is_some() && queue.threads > 1) {
                queue.threads -= 1;
                return;
            }
            if let Some((until, _)) = queue.pause
                && until > Instant::now()
            {
                queue = self.news.wait_until(queue, until).0;
                continue;
            }
            let requests = self.take(&mut queue);
            let Some(first) = requests.first().cloned() else { continue };
            drop(queue);
            let made = self.make(&requests);
            queue = self.queue.lock();
            match made {
                Err(error) if error.code == ErrorCode::DrmCommunication => {
                    tracing::warn!(%error, ?first, count = requests.len(), "it will be tried again");
                    let pause = next_pause(queue.pause);
                    queue.pause = Some((Instant::now() + pause, pause));
                    requests.into_iter().rev().for_each(|request| queue.waiting.push_front(request));
                    continue;
                }
                Err(error) => {
                    tracing::warn!(%error, ?first, count = requests.len(), "cannot control a job");
                }
                Ok(()) => {}
            }
            for request in &requests {
                queue.known.remove(request);
            }
            queue.pause = None;
            self.start_thread(&mut queue);
        }
    }

    /// The next request, with the others that can be made by the same call.
    fn take(&self, queue: &mut Queue) -> Vec<Request> {
        let Some(first) = queue.waiting.pop_front() else { return Vec::new() };
        match first {
            Request::EndAgain(_, how) if self.tracker.queueing().is_some() => {
                let is_alike =
                    |request: &Request| matches!(request, Request::EndAgain(_, other) if *other == how);
                let (alike, rest): (Vec<_>, Vec<_>) = queue.waiting.drain(..).partition(is_alike);
                queue.waiting = rest.into();
                std::iter::once(first).chain(alike).collect()
            }
            _ => vec![first],
        }
    }

    fn make(&self, requests: &[Request]) -> Result<()> {
        match (requests, self.tracker.queueing()) {
            ([Request::Control(id, control)], _) => self.tracker.job_control(id, *control),
            ([Request::EndAgain(id, control)], None) => self.tracker.end_again(id, *control),
            ([Request::EndAgain(_, control), ..], Some(queue)) => {
                let id = |request: &Request| match request {
                    Request::Control(id, _) | Request::EndAgain(id, _) => id.clone(),
                };
                queue.end(&requests.iter().map(id).collect::<Vec<_>>(), *control)
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Error, JobState};
    use crate::tracker::fake::FakeTracker;

    /// Requests about so many jobs.
    fn requests(fake: &Arc<FakeTracker>, count: usize) -> (Arc<Requests>, Vec<String>) {
        let ids: Vec<_> = (0..count).map(|number| number.to_string()).collect();
        ids.iter().for_each(|id| fake.add_foreign(id));
        (Requests::to(Arc::clone(fake) as Arc<dyn JobTracker>), ids)
    }

    /// Wait until the queue is as told.
    fn until(requests: &Requests, reached: impl Fn(&Queue) -> bool) {
        while !reached(&requests.queue.lock()) {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_few_threads_make_all_requests_and_none_twice() {
        let fake = FakeTracker::new();
        let (requests, ids) = requests(&fake, 50);
        fake.set_hung(true);
        for _ in 0..2 {
            ids.iter().for_each(|id| requests.add(Request::Control(id.clone(), Control::Suspend)));
        }
        until(&requests, |queue| queue.waiting.len() == ids.len() - THREADS);
        assert_eq!(requests.queue.lock().threads, THREADS);
        fake.set_hung(false);
        until(&requests, |queue| queue.threads == 0);
        assert_eq!(fake.asked(), ids.len());
        assert!(ids.iter().all(|id| fake.job_state(id).unwrap().0 == JobState::Suspended));
    }

    #[test]
    fn a_system_with_a_queue_ends_many_jobs_at_once() {
        let fake = FakeTracker::with_queue();
        let (requests, ids) = requests(&fake, 50);
        fake.set_down(Some(Error::new(ErrorCode::DrmCommunication, "down")));
        ids.iter().for_each(|id| requests.add(Request::EndAgain(id.clone(), Control::Terminate)));
        until(&requests, |queue| queue.pause.is_some() && queue.waiting.len() == ids.len());
        fake.set_down(None);
        until(&requests, |queue| queue.threads == 0);
        assert!(ids.iter().all(|id| fake.job_state(id).unwrap().0 == JobState::Failed));
        assert!(requests.queue.lock().known.is_empty());
    }

    #[test]
    fn a_runtime_that_does_not_answer_loses_no_request_and_is_not_asked_for_each() {
        let fake = FakeTracker::new();
        let (requests, ids) = requests(&fake, 50);
        fake.set_down(Some(Error::new(ErrorCode::DrmCommunication, "down")));
        ids.iter().for_each(|id| requests.add(Request::EndAgain(id.clone(), Control::Terminate)));
        until(&requests, |queue| queue.pause.is_some() && queue.threads == 1);
        assert!(fake.asked() < ids.len() / 2, "{}", fake.asked());
        fake.set_down(None);
        until(&requests, |queue| queue.threads == 0);
        assert!(ids.iter().all(|id| fake.job_state(id).unwrap().0 == JobState::Failed));
    }
}
