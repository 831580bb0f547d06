//! Slurm's accounting, where a site has it: how jobs have ended that the controller does not know any more.
//!
//! A number does not tell which job is meant, since it is given again to others, and a comment is only kept where the site
//! wants that. But the command is kept that has submitted the job, and the comment is a word of it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::command::Programs;
use super::squeue::{Comment, Entry, Line, SEPARATOR, millis, places};
use crate::model::{Millis, Result, Usage};
use crate::sync::Mutex;

/// The fields, as `sacct --format` names them. The last one may have anything in it.
const FIELDS: [&str; 15] = [
    "JobID",
    "State",
    "ExitCode",
    "Submit",
    "Start",
    "End",
    "AllocCPUS",
    "NodeList",
    "Partition",
    "User",
    "TotalCPU",
    "MaxRSS",
    "Reason",
    "JobName",
    "SubmitLine",
];
/// The time that an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The time for which nothing is asked after a question that was not answered, as where there is no accounting.
const SILENCE: Duration = Duration::from_secs(60);
/// The jobs of one question, an array counted as one.
const AT_ONCE: usize = 500;
/// The exit code by which the program on a node tells that it has run nothing. A job may end with it too.
const REFUSED: i32 = 125;

/// The way to the accounts.
#[derive(Default)]
pub(super) struct Accounting {
    /// The last question that was not answered.
    unanswered: Mutex<Option<Instant>>,
}

impl Accounting {
    /// The accounts of jobs with these numbers that have ended, by the ids of the jobs. None where Slurm does not keep
    /// them, or does not answer: then all goes on without.
    pub(super) async fn ask(
        &self,
        programs: &Programs,
        numbers: impl Iterator<Item = &str>,
    ) -> HashMap<String, Past> {
        if self.unanswered.lock().is_some_and(|asked| asked.elapsed() < SILENCE) {
            return HashMap::new();
        }
        match said(programs, numbers).await {
            Ok(text) => parse(&text),
            Err(error) => {
                tracing::debug!(%error, "Slurm's accounting tells nothing");
                *self.unanswered.lock() = Some(Instant::now());
                HashMap::new()
            }
        }
    }
}

/// The words of `sacct` about jobs with these numbers.
async fn said(programs: &Programs, numbers: impl Iterator<Item = &str>) -> Result<String> {
    // A task that was cancelled while it waited is only found by the number of its array.
    let jobs = numbers.map(|number| number.split_once('_').map_or(number, |(array, _)| array));
    let jobs: BTreeSet<&str> = jobs.collect();
    let jobs: Vec<&str> = jobs.into_iter().collect();
    let (delimiter, format) =
        (format!("--delimiter={SEPARATOR}"), format!("--format={}", FIELDS.join(",")));
    let mut text = String::new();
    for jobs in jobs.chunks(AT_ONCE) {
        let jobs = format!("--jobs={}", jobs.join(","));
        let args =
            ["--noheader", "--parsable2", "--noconvert", "--duplicates", &delimiter, &format, &jobs];
        text += &programs.ask_within(PATIENCE, "sacct", &args).await?;
    }
    Ok(text)
}

/// The account of a job that has ended.
#[derive(Debug, Clone)]
pub(super) struct Past {
    /// The job, as `squeue` would show it.
    pub(super) entry: Entry,
    pub(super) ended: Millis,
    /// The use of its batch script, as far as Slurm has looked.
    pub(super) usage: Usage,
    /// The exit code of the script, and what may be a signal.
    code: (i32, i32),
    /// Somebody has cancelled it.
    is_asked: bool,
}

impl Past {
    /// State, reason and exit code.
    pub(super) fn words(&self) -> String {
        match self.code {
            (0, 0) => self.entry.words(),
            (code, signal) => format!("{} {code}:{signal}", self.entry.words()),
        }
    }

    /// The exit code of a job that has ended by itself: the script ends with that of its job.
    pub(super) fn exit_code(&self) -> Option<i32> {
        match (self.entry.line.state.as_str(), self.code) {
            ("COMPLETED", (0, 0)) => Some(0),
            ("FAILED", (code, 0)) if code != 0 && code != REFUSED => Some(code),
            _ => None,
        }
    }

    /// Returns whether it was ended in Slurm: by somebody, or by a limit.
    pub(super) fn was_ended(&self) -> bool {
        let state = self.entry.line.state.as_str();
        self.is_asked || matches!(state, "TIMEOUT" | "DEADLINE" | "OUT_OF_MEMORY" | "PREEMPTED")
    }

    /// Returns whether it may be that no more has happened than that the controller has lost its state: the accounts of
    /// all jobs end with that.
    pub(super) fn may_be_forgotten(&self) -> bool {
        self.entry.line.state == "CANCELLED" && !self.is_asked
    }
}

/// Read what `sacct` has said: a line for each job, or for all tasks of an array that have not begun, and one for each
/// step of it.
fn parse(text: &str) -> HashMap<String, Past> {
    // With each, its ids, and whether it has ended.
    let mut rows: Vec<(Vec<String>, bool, Past)> = Vec::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.splitn(FIELDS.len(), SEPARATOR).map(str::trim).collect();
        let Ok(fields) = <[&str; FIELDS.len()]>::try_from(fields) else { continue };
        let [number, state, code, submitted, start, end, cpus, nodes, partition, user, ..] = fields;
        let [.., cpu_time, max_rss, reason, name, command] = fields;
        if let Some((_, step)) = number.split_once('.') {
            if step == "batch"
                && let Some((_, _, past)) = rows.last_mut()
            {
                past.usage.cpu_time = duration(cpu_time);
                past.usage.max_rss = max_rss.parse().ok().map(|bytes: i64| bytes / 1024);
            }
            continue;
        }
        let (number, task) = number.split_once('_').unwrap_or((number, ""));
        let places = places(task.trim_matches(['[', ']']));
        let comment = comment(command);
        let ids = places.iter().filter_map(|place| comment.as_ref()?.job(*place)).collect();
        let (state, by) = state.split_once(' ').unwrap_or((state, ""));
        let line = Line {
            number: number.to_owned(),
            state: state.to_owned(),
            reason: reason.to_owned(),
            start: millis(start),
            submitted: millis(submitted),
            cpus: cpus.parse().ok(),
            nodes: Some(nodes).filter(|nodes| *nodes != "None assigned").unwrap_or_default().to_owned(),
            partition: partition.to_owned(),
            user: user.to_owned(),
            name: name.to_owned(),
        };
        let entry = Entry { line: Arc::new(line), is_ours: comment.is_some(), place: None };
        let code = code
            .split_once(':')
            .and_then(|(code, signal)| Some((code.parse().ok()?, signal.parse().ok()?)));
        let usage = Usage { oom_killed: state == "OUT_OF_MEMORY", ..Usage::default() };
        let (ended, code, is_asked) = (millis(end), code.unwrap_or_default(), by.starts_with("by "));
        let past = Past { entry, ended: ended.unwrap_or_default(), usage, code, is_asked };
        rows.push((ids, ended.is_some(), past));
    }
    // Each run of a job that was requeued has a line, as if it had been submitted then. The last one counts.
    rows.sort_by_key(|(_, _, past)| past.entry.line.submitted);
    let mut jobs = HashMap::new();
    for (ids, has_ended, past) in rows {
        jobs.extend(ids.into_iter().map(|id| (id, has_ended.then(|| past.clone()))));
    }
    jobs.into_iter().filter_map(|(id, past)| Some((id, past?))).collect()
}

/// The comment of a job of the library, in the command that has submitted it: nothing before it comes from a user.
fn comment(command: &str) -> Option<Comment> {
    Comment::parse(command.split_once(" --comment=")?.1.split(' ').next()?)
}

/// A duration such as `1-02:03:04` or `03:04.567`.
fn duration(text: &str) -> Option<Millis> {
    let (days, text) = text.split_once('-').unwrap_or(("0", text));
    let (text, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let mut seconds = days.parse::<i64>().ok()?.checked_mul(24)?;
    let parts: Vec<&str> = text.split(':').collect();
    let parts = if parts.len() == 2 { ["0", parts[0], parts[1]] } else { parts.try_into().ok()? };
    for (part, units) in parts.into_iter().zip([1, 60, 60]) {
        seconds = seconds.checked_mul(units)?.checked_add(part.parse().ok()?)?;
    }
    seconds.checked_mul(1000)?.checked_add(format!("{fraction:0<3}").get(..3)?.parse().ok()?)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    /// The account of job `j` in this state, with this exit code.
    pub(in crate::slurm) fn past(state: &str, code: &str) -> Past {
        let text = row("7", state, code, "100", "200", "sbatch --parsable --comment=drmaa2:j")
            + &row("7.batch", "COMPLETED", "0:0", "100", "200", "");
        parse(&text).remove("j").unwrap()
    }

    fn row(number: &str, state: &str, code: &str, submitted: &str, end: &str, command: &str) -> String {
        let fields = [
            number,
            state,
            code,
            submitted,
            "110",
            end,
            "2",
            "n1",
            "main",
            "me",
            "00:02.500",
            "2048",
            "None",
            "a name",
            command,
        ];
        fields.join(&SEPARATOR.to_string()) + "\n"
    }

    #[test]
    fn a_job_is_known_by_the_command_that_has_submitted_it() {
        let of = |id: &str| {
            format!("sbatch --parsable --comment=drmaa2:{id} --job-name=x --comment=drmaa2:y")
        };
        let text = [
            row("7", "COMPLETED", "0:0", "300", "400", "sbatch --comment=mine"),
            row("7.batch", "COMPLETED", "0:0", "300", "400", ""),
            row("7", "FAILED", "3:0", "100", "200", &of("01j")),
            row("7.extern", "COMPLETED", "0:0", "100", "200", ""),
            row("7.batch", "FAILED", "3:0", "100", "200", ""),
            row("8_[0-1,3]", "CANCELLED by 1000", "0:0", "100", "200", &of("01k:5:2")),
            row("8_2", "TIMEOUT", "0:15", "100", "200", &of("01k:5:2")),
            row("9", "RUNNING", "0:0", "100", "Unknown", &of("01l")),
            row("10", "COMPLETED", "0:0", "100", "200", ""),
            "broken\n".to_owned(),
        ];
        let jobs = parse(&text.concat());
        let mut ids: Vec<&String> = jobs.keys().collect();
        ids.sort();
        assert_eq!(ids, ["01j", "01k.11", "01k.5", "01k.7", "01k.9"]);
        let past = &jobs["01j"];
        assert_eq!(
            (past.exit_code(), past.ended, past.words().as_str()),
            (Some(3), 200_000, "FAILED 3:0")
        );
        assert_eq!((past.usage.cpu_time, past.usage.max_rss), (Some(2_500), Some(2)));
        assert_eq!((past.entry.nodes(), past.entry.line.start), ("n1", Some(110_000)));
        assert!(jobs["01k.5"].was_ended() && jobs["01k.9"].entry.line.state == "TIMEOUT");
        assert_eq!(jobs["01k.5"].usage, Usage::default());
    }

    #[test]
    fn the_last_run_of_a_job_counts() {
        let command = "sbatch --parsable --comment=drmaa2:j";
        let first = row("7", "NODE_FAIL", "0:0", "100", "200", command);
        let second = row("7", "COMPLETED", "0:0", "210", "300", command);
        assert_eq!(parse(&(second + &first))["j"].ended, 300_000);
        let second = row("7", "PENDING", "0:0", "210", "Unknown", command);
        assert!(parse(&(first + &second)).is_empty());
    }

    #[test]
    fn an_exit_code_is_that_of_a_job_that_has_ended_by_itself() {
        for (state, code, expected) in [
            ("COMPLETED", "0:0", Some(0)),
            ("FAILED", "143:0", Some(143)),
            ("FAILED", "125:0", None),
            ("FAILED", "0:53", None),
            ("FAILED", "0:0", None),
            ("OUT_OF_MEMORY", "0:125", None),
            ("TIMEOUT", "1:0", None),
            ("NODE_FAIL", "1:0", None),
        ] {
            assert_eq!(past(state, code).exit_code(), expected, "{state} {code}");
        }
        assert!(past("CANCELLED", "0:0").may_be_forgotten());
        assert!(!past("CANCELLED by 0", "0:0").may_be_forgotten());
        assert!(past("OUT_OF_MEMORY", "0:125").usage.oom_killed);
    }

    #[test]
    fn durations_are_in_milliseconds() {
        for (text, expected) in [
            ("00:00.001", Some(1)),
            ("03:04.5", Some(184_500)),
            ("02:03:04", Some(7_384_000)),
            ("1-00:00:01", Some(86_401_000)),
            ("", None),
            ("x:1", None),
        ] {
            assert_eq!(duration(text), expected, "{text}");
        }
    }

    #[tokio::test]
    async fn accounting_that_does_not_answer_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("sacct");
        let count = dir.path().join("count");
        let script =
            format!("#!/bin/sh\necho \"$*\" >>'{}'\necho disabled >&2\nexit 1\n", count.display());
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let programs = Programs { path: dir.path().into(), conf: None };
        let accounting = Accounting::default();
        for _ in 0..2 {
            assert!(accounting.ask(&programs, ["8_3", "7", "8_4"].into_iter()).await.is_empty());
        }
        let asked = fs::read_to_string(count).unwrap();
        assert!(asked.ends_with("--jobs=7,8\n") && asked.lines().count() == 1, "{asked}");
    }
}
