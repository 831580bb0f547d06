//! A model check of the claim protocol: in any order of the actions of processes, users and the runtime,
//! and with any deaths in between, no job is lost, none runs twice, no claim is left for ever and no
//! slot is given away twice.
//!
//! The engines, the store and the scheduler are the real ones. Their threads are absent: each step of a
//! thread is a step that the test may choose to take next, or never if the process has died. A request
//! to the runtime is carried out in a step of its own, or never.

mod runtime;
mod stories;

use std::collections::{BTreeMap, VecDeque};
use std::process::{Child, Command, Stdio as Pipe};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use self::runtime::{Reach, Runtime};
use self::stories::{Act, Step};
use super::engine::{Chore, Engine};
use super::kick::Kick;
use super::news::News;
use super::waits::Waits;
use crate::model::{Control, ErrorCode, JobState, JobTemplate, Owner, Result, now};
use crate::scheduler::{Pool, plan};
use crate::store::{
    Claim, Kind, Most, NewTasks, Queue, Session, Store, Submission, Targets, Terms, Unsettled, Which,
};
use crate::sync::Mutex;
use crate::tracker::{Fact, Settings, Stdio, Submitter, TaskRange, Withdrawn};

const TARGET: &str = "t";
const SLOTS: i64 = 2;
const PROCESSES: usize = 3;

/// A process with the library in it.
struct Process {
    /// A real process in its place: a claim names a process.
    body: Child,
    engine: Arc<Engine>,
    news: Receiver<News>,
    chores: Receiver<Chore>,
    /// Facts that are to be taken again.
    kept: Vec<Fact>,
}

impl Process {
    fn start(place: usize, store: &Arc<Store>, runtime: &Arc<Mutex<Runtime>>) -> Self {
        let body = Command::new("cat").stdin(Pipe::piped()).spawn().unwrap();
        let claim = Claim::of_process(body.id()).unwrap();
        runtime.lock().requests[place].clear();
        runtime.lock().facts[place].clear();
        let reach = Reach { runtime: Arc::clone(runtime), process: place };
        let waits = Arc::new(Waits::default());
        let wakes = (Arc::new(Kick::new().unwrap()), Arc::default());
        let (engine, news, chores) =
            Engine::new(Arc::new(reach), TARGET.into(), Arc::clone(store), waits, wakes, claim);
        Self { body, engine, news, chores, kept: Vec::new() }
    }

    /// Let it die, together with its requests that are not carried out yet.
    fn die(&mut self) {
        self.body.kill().unwrap();
        self.body.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.die();
    }
}

/// The find of a withdrawal, and the run that it is about.
type Answered = (Withdrawn, i64);

/// The whole system.
struct Machine {
    store: Arc<Store>,
    session: Session,
    runtime: Arc<Mutex<Runtime>>,
    processes: Vec<Process>,
    submitted: Vec<String>,
    /// The runtime has a queue of its own.
    queues: bool,
    /// It has not always answered questions.
    was_mute: bool,
    /// Jobs that are to be held while they are being started, with the number of start requests at that time.
    holding: VecDeque<((String, usize), Option<Answered>)>,
    _dir: tempfile::TempDir,
}

impl Machine {
    fn new(queues: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(dir.path()).unwrap());
        let session =
            store.create_session(Kind::Job, "s", None, &Owner::for_tests("me", 7), None).unwrap();
        let runtime = Runtime {
            queues,
            requests: vec![VecDeque::new(); PROCESSES],
            facts: vec![VecDeque::new(); PROCESSES],
            ..Runtime::default()
        };
        let runtime = Arc::new(Mutex::new(runtime));
        let processes = (0..PROCESSES).map(|place| Process::start(place, &store, &runtime)).collect();
        Self {
            store,
            session,
            runtime,
            processes,
            submitted: Vec::new(),
            queues,
            was_mute: false,
            holding: VecDeque::new(),
            _dir: dir,
        }
    }

    fn submit(&mut self, process: usize, tasks: i64, hold: bool, parallel: Option<i64>) {
        let id = format!("a{}", self.submitted.len());
        let pool = Pool {
            slots: Some(SLOTS),
            memory: None,
            queue: "q".into(),
            queue_slots: None,
            user_slots: None,
        };
        let terms = Terms {
            pool,
            rank: 0,
            priority: 0,
            slots: (1, 1),
            memory: 0,
            max_parallel: parallel,
            start: None,
            wall_clock: None,
            reservation: None,
            deadline: None,
        };
        let (user, machine, groups) = ("u".to_owned(), "m".to_owned(), Vec::new());
        let submitter = Submitter { user, uid: 0, gid: 0, groups, umask: 0, machine };
        let rerunnable = self.submitted.len() % 3 != 2;
        let template = JobTemplate { submit_as_hold: hold, rerunnable, ..JobTemplate::default() };
        let range = TaskRange { first: 1, last: tasks, step: 1 };
        self.store
            .submit(&Submission {
                id: &id,
                session: self.session.id,
                target: TARGET,
                template: &template,
                submitter: &submitter,
                stdio: &Stdio::default(),
                settings: &Settings::default(),
                mailer: None,
                terms: &terms,
                tasks: Some(NewTasks::Alike(range)),
                failure: None,
                most: Most::default(),
                hand_over: self.queues.then_some(&self.processes[process].engine.mine),
            })
            .unwrap();
        self.submitted.extend(range.indices().map(|index| format!("{id}.{index}")));
    }

    fn admit(&self, process: usize) {
        let mut decide =
            |queue: Queue<'_>| plan(now(), queue.machine, queue.pools, queue.candidates, 2, 1);
        let mine = &self.processes[process].engine.mine;
        self.store.admit(now(), &Targets::new([TARGET]).unwrap(), mine, &mut decide).unwrap();
    }

    /// Do one of the things that the store assigned to this process some steps ago.
    fn work(&self, process: usize, jobs: &[Unsettled], choice: usize) {
        if !jobs.is_empty() {
            self.processes[process].engine.work(&jobs[choice % jobs.len()]);
        }
    }

    fn claimed(&self, process: usize) -> Vec<Unsettled> {
        self.store.claimed_jobs(&self.processes[process].engine.mine).unwrap()
    }

    /// Let the threads of a process run.
    fn hear(&mut self, process: usize) {
        let Process { engine, news, chores, kept, .. } = &mut self.processes[process];
        let mut take = |fact| match engine.take_or_keep(fact, kept) {
            // The engine has a question, and the runtime is mute: the jobs are compared again later.
            Err(error) if error.code == ErrorCode::DrmCommunication => {}
            taken => taken.unwrap(),
        };
        if let Ok(News::Fact(fact)) = news.try_recv() {
            take(*fact);
        }
        let fact = self.runtime.lock().facts[process].pop_front();
        if let Some(fact) = fact {
            take(fact);
        }
        if let Ok(Chore::Clean(id)) = chores.try_recv() {
            engine.tracker().delete_job(&id).unwrap();
        }
    }

    /// Let the thread of the facts try again what did not work.
    fn settle(&mut self, process: usize) -> Result<()> {
        let Process { engine, kept, .. } = &mut self.processes[process];
        engine.retry(kept)
    }

    fn hold(&mut self, which: Which<'_>) {
        for (id, _) in self.store.waiting_there(which, false).unwrap() {
            self.runtime.lock().switch(&id, true);
        }
        let holding = self.store.hold(which).unwrap();
        let asked = |id: String| (self.asked(&id), id);
        let starting = holding.starting.into_iter().map(|(id, _)| asked(id));
        let starting: Vec<_> = starting.map(|(asked, id)| ((id, asked), None)).collect();
        self.holding.extend(starting);
    }

    fn release(&self, which: Which<'_>) {
        for (id, _) in self.store.waiting_there(which, true).unwrap() {
            self.runtime.lock().switch(&id, false);
        }
        self.store.release(which).unwrap();
    }

    fn asked(&self, id: &str) -> usize {
        self.runtime.lock().asked.get(id).copied().unwrap_or_default()
    }

    /// Continue a process that wants to hold a job, or let it die.
    fn withdraw(&mut self) {
        match self.holding.pop_front() {
            Some(((id, asked), None)) => {
                let run = self.store.unsettled_job(&id).unwrap().map_or(0, |job| job.run);
                let withdrawn = self.runtime.lock().withdraw(&id);
                let state = self.store.job_state(&id).unwrap();
                let runs = withdrawn == Withdrawn::Nothing && state == Some(JobState::Running);
                assert!(!runs || self.asked(&id) > asked, "{id} is said to run though it never will");
                self.holding.push_back(((id, asked), Some((withdrawn, run))));
            }
            Some(((id, _), Some((Withdrawn::Nothing, run)))) => {
                self.store.job_withdrawn(&id, run).unwrap();
                let state = self.store.job_state(&id).unwrap();
                if matches!(state, Some(JobState::QueuedHeld | JobState::RequeuedHeld)) {
                    self.runtime.lock().held.insert(id);
                }
            }
            Some((_, Some((Withdrawn::Begun, _)))) | None => {}
        }
    }

    fn check(&self) {
        let runtime = self.runtime.lock();
        assert!(self.queues || runtime.running() <= SLOTS as usize, "slots are given away twice");
        for (id, runs) in &runtime.runs {
            let losses = runtime.losses.get(id).unwrap_or(&0);
            assert!(*runs <= 1 + losses, "{id} ran {runs} times, lost {losses} times");
        }
    }

    fn step(&mut self, step: &Step, stale: &mut [Vec<Unsettled>]) {
        let Step { act, process, choice } = *step;
        let job = self.submitted.get(choice % self.submitted.len()).cloned().unwrap_or_default();
        let which = Which::Job(&job);
        match act {
            Act::Submit => self.submit(
                process,
                1 + choice as i64 % 4,
                choice % 7 == 0,
                (choice % 5 == 0).then_some(1),
            ),
            Act::Admit => self.admit(process),
            Act::Look => stale[process] = self.claimed(process),
            Act::Work => self.work(process, &stale[process], choice),
            Act::Serve => self.runtime.lock().serve(process, choice % 8 != 0),
            Act::Hear => self.hear(process),
            Act::Exit => {
                let mut runtime = self.runtime.lock();
                let running: Vec<String> = runtime.jobs.keys().cloned().collect();
                if !running.is_empty() {
                    runtime.exit(&running[choice % running.len()], choice as i32 % 3);
                }
            }
            Act::Lose if self.queues && process == 0 => self.runtime.lock().forget(&job),
            Act::Lose if self.queues => self.runtime.lock().requeue(&job),
            Act::Lose => self.runtime.lock().lose(&job),
            Act::Hold => self.hold(which),
            Act::Withdraw => self.withdraw(),
            Act::Begin => self.runtime.lock().begin(&job),
            Act::Release => {
                self.release(which);
                self.runtime.lock().held.remove(&job);
            }
            Act::Terminate => {
                for id in self.store.terminate(which, Control::Terminate).unwrap().begun {
                    self.runtime.lock().terminate(&id);
                }
            }
            Act::Mute => {
                let mute = &mut self.runtime.lock().mute;
                *mute = !*mute;
                self.was_mute = true;
            }
            Act::Settle => match self.settle(process) {
                // The thread of the facts would try it again.
                Err(error) if error.code == ErrorCode::DrmCommunication => {}
                settled => settled.unwrap(),
            },
            Act::Die => {
                self.processes[process] = Process::start(process, &self.store, &self.runtime);
                stale[process].clear();
                // It does not get the facts that came before.
                if self.queues && !self.runtime.lock().mute {
                    self.processes[process].engine.settle_all().unwrap();
                }
            }
        }
        self.check();
    }

    /// Check that the stored states are those of the runtime once all that it has told is heard, late or not.
    fn check_states(&mut self) {
        while self.runtime.lock().facts.iter().any(|facts| !facts.is_empty()) {
            (0..PROCESSES).for_each(|process| self.hear(process));
        }
        let runtime = self.runtime.lock();
        for (id, state) in runtime.jobs.iter().filter(|(_, state)| !state.is_terminated()) {
            let stored = self.store.job_state(id).unwrap().unwrap();
            let number = |counts: &BTreeMap<String, usize>| counts.get(id).copied().unwrap_or_default();
            let losses = number(&runtime.losses);
            // A job that has run before is requeued, also where the runtime has forgotten that run.
            let waits_alike =
                state.is_queued() && stored.is_queued() && state.is_held() == stored.is_held();
            assert!(
                stored == *state || (losses > 0 && waits_alike),
                "{id} is {state:?}, not {stored:?}"
            );
            let said = self.store.losses(id).unwrap();
            assert!(said <= losses as i64, "{id} lost {losses} runs, and is said to have lost {said}");
        }
    }

    /// Let everything end without further interference.
    fn finish(&mut self) {
        if self.queues && !self.was_mute {
            self.check_states();
        }
        self.runtime.lock().mute = false;
        self.runtime.lock().held.clear();
        self.holding.clear();
        for round in 0.. {
            // A job that a process wanted to hold may be held only now.
            for id in &self.submitted {
                self.release(Which::Job(id));
            }
            for process in 0..PROCESSES {
                self.settle(process).unwrap();
                self.admit(process);
                for job in self.claimed(process) {
                    self.processes[process].engine.work(&job);
                }
                for _ in 0..8 {
                    self.runtime.lock().serve(process, true);
                    self.hear(process);
                }
            }
            let running: Vec<String> = self.runtime.lock().jobs.keys().cloned().collect();
            running.iter().for_each(|id| self.runtime.lock().exit(id, 0));
            self.check();
            if self.store.unsettled_targets().unwrap().is_empty() {
                break;
            }
            assert!(round < 200, "it does not come to an end: {:?}", self.store.unsettled_jobs(TARGET));
        }
        assert!(self.store.claimers().unwrap().is_empty(), "a claim is left");
        assert_eq!(self.store.all_jobs().unwrap().len(), self.submitted.len(), "a job is lost");
        assert!(self.runtime.lock().jobs.is_empty(), "something is left in the runtime");
        for id in &self.submitted {
            let job = self.store.job(id).unwrap().unwrap();
            let ran = self.runtime.lock().runs.contains_key(id);
            let because = |reason| job.info.annotation.as_deref() == Some(reason);
            let (tried, failed, asked) = (because("full"), because("lost"), job.terminate.is_some());
            let losses = self.runtime.lock().losses.get(id).copied().unwrap_or_default();
            let rerun = self.store.template(id).unwrap().unwrap().rerunnable && losses < 10;
            assert!(!failed || !rerun || asked, "{id} did not run again");
            assert!(ran || asked || tried, "{id} never ran, and nobody ended it: {job:?}");
        }
    }
}
