//! Systems with a queue of their own.

use std::collections::BTreeMap;
use std::slice;

use drmaa2::model::{Control, JobState};
use drmaa2::tracker::{Accepted, Fact, NewArray, NewJob, Queueing, TaskRange};

use super::Subject;

impl Subject {
    fn queue(&self) -> &dyn Queueing {
        self.tracker.queueing().expect("a queue of its own")
    }

    /// The job waits, as the next fact about it tells.
    fn waits(&self, job: &str, held: bool) {
        match self.next(job) {
            Fact::Waits { how, .. } => assert_eq!((how.held, how.again), (held, false), "{how:?}"),
            other => panic!("{other:?}"),
        }
    }

    /// A job that is held from the beginning.
    fn held(&self, exit_status: i32) -> NewJob {
        let job = NewJob { held: true, ..self.new_job((self.exits)(exit_status)) };
        self.tracker.add_job(job.clone()).unwrap();
        self.waits(&job.id, true);
        assert_eq!(self.state(&job.id), JobState::QueuedHeld);
        job
    }
}

pub(super) fn a_job_waits_before_anything_else(subject: &Subject) {
    let job = subject.add((subject.exits)(3));
    subject.waits(&job, false);
    subject.started(&job);
    assert_eq!(subject.ended(&job).exit_status, Some(3));
    subject.delete(&job);
}

pub(super) fn a_held_job_waits_for_its_release(subject: &Subject) {
    let job = subject.held(4);
    subject.silent_about(&job.id);
    subject.queue().release(slice::from_ref(&job.id)).unwrap();
    subject.waits(&job.id, false);
    assert_eq!(subject.ended(&job.id).exit_status, Some(4));
    subject.delete(&job.id);
}

pub(super) fn a_job_that_has_begun_is_not_held(subject: &Subject) {
    let job = subject.add((subject.sleeps)());
    subject.started(&job);
    let other = subject.held(0);
    // The others of the call are.
    subject.queue().release(&[other.id.clone(), job.clone()]).unwrap();
    subject.ended(&other.id);
    subject.queue().hold(slice::from_ref(&job)).unwrap();
    assert_eq!(subject.state(&job), JobState::Running);
    subject.tracker.job_control(&job, Control::Terminate).unwrap();
    subject.ended(&job);
    [&job, &other.id].into_iter().for_each(|job| subject.delete(job));
}

pub(super) fn a_job_is_taken_into_the_queue_once(subject: &Subject) {
    let job = subject.held(5);
    subject.tracker.add_job(job.clone()).unwrap();
    subject.waits(&job.id, true);
    subject.queue().release(slice::from_ref(&job.id)).unwrap();
    subject.started(&job.id);
    subject.tracker.add_job(job.clone()).unwrap();
    assert_eq!(subject.ended(&job.id).exit_status, Some(5));
    subject.tracker.add_job(job.clone()).unwrap();
    assert_eq!(subject.ended(&job.id).exit_status, Some(5));
    subject.delete(&job.id);
}

pub(super) fn all_tasks_of_an_array_are_taken_into_the_queue(subject: &Subject) {
    let array = NewArray {
        common: subject.new_job((subject.exits)(4)),
        range: TaskRange { first: 2, last: 8, step: 2 },
        max_parallel: Some(1),
        // One of them could not be submitted.
        indices: vec![2, 4, 8],
    };
    let tasks: Vec<NewJob> = array.indices.iter().map(|index| array.task(*index)).collect();
    if let Accepted::Wait(how) = subject.tracker.add_array_job(array.clone()).unwrap() {
        assert!(!how.held && !how.again, "{how:?}");
    }
    let mut ended = BTreeMap::new();
    while ended.len() < tasks.len() {
        let is_task = |id: &String| tasks.iter().any(|task| task.id == *id);
        let (id, outcome) = subject.until(|fact| match fact {
            Fact::Ended { id, outcome } if is_task(id) => Some((id.clone(), outcome.clone())),
            _ => None,
        });
        ended.insert(id, outcome.exit_status);
    }
    for task in &tasks {
        assert_eq!(ended[&task.id], Some(4));
        subject.delete(&task.id);
    }
}

pub(super) fn a_job_that_waits_can_be_ended(subject: &Subject) {
    for how in [Control::Terminate, Control::Kill] {
        let job = subject.held(6);
        subject.tracker.job_control(&job.id, how).unwrap();
        let outcome = subject.ended(&job.id);
        assert_eq!((outcome.state(), outcome.exit_status), (JobState::Failed, None));
        subject.queue().release(slice::from_ref(&job.id)).unwrap();
        subject.delete(&job.id);
    }
}
