//! A process with the library in it that does what it is told, one line at a time, and answers each line
//! with one: the part of a host program. It is this test program started again.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use drmaa2::model::{Control, ErrorCode, JobState, JobTemplate};
use drmaa2::session::{Bulk, JobRef, JobSession, Timeout};

/// The argument that makes a process play.
pub const ROLE: &str = "play";
const SESSION: &str = "faults";
/// Nothing takes so long unless it hangs: longer than the library's own deadline for a call.
pub const LIMIT: Duration = Duration::from_secs(150);

/// The part of the process itself. At the end of its input it exits without closing anything.
pub fn play() {
    let mut session = None;
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let words: Vec<&str> = line.split('\t').collect();
        let answer = match obey(&mut session, &words) {
            Ok(text) => format!("ok\t{text}"),
            Err(error) => format!("error\t{error}").replace('\n', " "),
        };
        println!("{answer}");
        std::io::stdout().flush().unwrap();
    }
}

fn obey(session: &mut Option<Arc<JobSession>>, words: &[&str]) -> drmaa2::model::Result<String> {
    if let ["create", contact] = words {
        *session = Some(JobSession::create(Some(SESSION), Some(contact))?);
        return Ok(String::new());
    }
    if let ["open"] = words {
        *session = Some(JobSession::open(SESSION)?);
        return Ok(String::new());
    }
    let session = session.as_ref().unwrap();
    let job = |id: &str| JobRef { id: id.to_owned(), session: Some(SESSION.to_owned()), name: None };
    match words {
        ["run", template] => Ok(session.run_job(read(template))?.id),
        ["array", template, last] => {
            let bulk = Bulk { begin: 1, end: last.parse().unwrap(), step: 1, max_parallel: 0 };
            let ids = session.run_bulk_jobs(&read(template), bulk)?.jobs()?;
            Ok(ids.into_iter().map(|job| job.id).collect::<Vec<_>>().join(" "))
        }
        ["clock"] => Ok((drmaa2::model::now() / 1000).to_string()),
        ["started", id] => job(id).wait_started(Timeout::After(LIMIT)).map(|()| String::new()),
        ["ended", id] => job(id).wait_terminated(Timeout::After(LIMIT)).map(|()| String::new()),
        ["resumed", id] => until_ended(&job(id)).map(|()| String::new()),
        ["jobs"] => {
            let ids: Vec<_> = session.jobs(None)?.into_iter().map(|job| job.id).collect();
            Ok(ids.join(" "))
        }
        ["all"] => all(session),
        ["accounts"] => accounts(session),
        ["reap", id] => job(id).reap().map(|()| String::new()),
        ["close"] => session.close().map(|()| String::new()),
        [control, id] => job(id).control(named(control)).map(|()| String::new()),
        _ => panic!("{words:?}"),
    }
}

/// Wait for the end of a job that may be suspended, or be found so at any time: whoever wants it to end resumes it then.
fn until_ended(job: &JobRef) -> drmaa2::model::Result<()> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let _ = job.control(Control::Resume);
        match job.wait_terminated(Timeout::After(Duration::from_secs(1))) {
            Err(error) if error.code == ErrorCode::Timeout && Instant::now() < deadline => {}
            waited => return waited,
        }
    }
}

fn named(control: &str) -> Control {
    match control {
        "suspend" => Control::Suspend,
        "resume" => Control::Resume,
        "hold" => Control::Hold,
        "release" => Control::Release,
        "terminate" => Control::Terminate,
        "kill" => Control::Kill,
        _ => panic!("{control}"),
    }
}

fn read(template: &str) -> JobTemplate {
    serde_json::from_str(template).unwrap()
}

/// Wait for all jobs of the session: id, state and annotation of each.
fn all(session: &JobSession) -> drmaa2::model::Result<String> {
    let jobs = session.jobs(None)?;
    if jobs.is_empty() {
        return Ok(String::new());
    }
    let waited = session.wait_all_terminated(&jobs, Timeout::After(LIMIT));
    let mut accounts = Vec::new();
    for job in &jobs {
        let info = job.info()?;
        let state = match info.state {
            JobState::Done => "DONE",
            JobState::Failed => "FAILED",
            _ => "UNSETTLED",
        };
        let annotation = info.annotation.unwrap_or_default().replace(['\n', '\t', '\x1f'], " ");
        let template = job.template()?;
        let has_init = !template.extensions.contains_key("containerd_jt_init");
        let flags = format!("{}\x1f{has_init}", template.rerunnable);
        accounts.push(format!("{}\x1f{state}\x1f{flags}\x1f{annotation}", info.id));
    }
    match waited {
        Err(error) if accounts.iter().all(|account| !account.contains("\x1fUNSETTLED\x1f")) => {
            Err(error)
        }
        _ => Ok(accounts.join("\t")),
    }
}

/// The present accounts of all jobs of the session, as JSON.
fn accounts(session: &JobSession) -> drmaa2::model::Result<String> {
    let mut accounts = Vec::new();
    for job in session.jobs(None)? {
        let info = job.info()?;
        accounts.push(serde_json::json!({
            "id": info.id,
            "name": info.name,
            "over": info.state.is_terminated(),
            "done": info.state == JobState::Done,
            "code": info.exit_status,
            "signal": info.terminating_signal,
            "lost": info.lost,
            "text": format!("{} {:?} {:?}", info.state, info.substate, info.annotation),
        }));
    }
    Ok(serde_json::Value::from(accounts).to_string())
}

/// Such a process, seen from the test.
pub struct Player {
    child: Mutex<Child>,
    pub pid: i32,
    answers: Mutex<Receiver<String>>,
}

impl Player {
    pub fn new(environment: &[(&str, String)], log: &Path) -> Self {
        let log = std::fs::File::options().create(true).append(true).open(log).unwrap();
        let mut child = Command::new(env::current_exe().unwrap())
            .arg(ROLE)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, answers) = mpsc::channel();
        std::thread::spawn(move || {
            output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        let pid = i32::try_from(child.id()).unwrap();
        Self { child: Mutex::new(child), pid, answers: Mutex::new(answers) }
    }

    /// Tell it something without waiting for the answer.
    pub fn tell(&self, words: &[&str]) {
        let line = format!("{}\n", words.join("\t"));
        // It may be dead.
        let mut child = self.child.lock().unwrap();
        let _ = child.stdin.as_mut().map(|stdin| stdin.write_all(line.as_bytes()));
    }

    /// The answer to the next line that has none yet.
    pub fn answer(&self) -> Result<String, String> {
        // A wait's own deadline comes first.
        match self.answers.lock().unwrap().recv_timeout(LIMIT * 2) {
            Ok(line) => match line.split_once('\t') {
                Some(("ok", text)) => Ok(text.to_owned()),
                _ => Err(line.trim_start_matches("error\t").to_owned()),
            },
            Err(RecvTimeoutError::Disconnected) => Err("dead".to_owned()),
            Err(RecvTimeoutError::Timeout) => Err("hangs".to_owned()),
        }
    }

    pub fn ask(&self, words: &[&str]) -> Result<String, String> {
        self.tell(words);
        self.answer()
    }

    /// Let it exit without closing anything, or see that it is dead.
    pub fn leave(&self) {
        let mut child = self.child.lock().unwrap();
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap();
        let _ = child.kill();
        let _ = child.wait();
    }
}
