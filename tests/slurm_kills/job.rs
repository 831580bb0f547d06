//! A job that tells in a file of its own how often it has run, and what is to be said of it in the end.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use drmaa2::model::{JobTemplate, Text};
use fastrand::Rng;
use serde_json::Value;

use crate::fault::Fault;

pub(crate) struct Job {
    pub(crate) name: String,
    pub(crate) template: JobTemplate,
    code: i64,
    /// A line for each run, and for what else happens.
    count: PathBuf,
    /// Its id, once it is submitted.
    pub(crate) id: Option<String>,
    /// Its number in Slurm, once that is known.
    pub(crate) number: Option<String>,
    /// The call that submitted it was not answered.
    pub(crate) is_doubtful: bool,
    /// It was requested to end.
    pub(crate) is_terminated: bool,
}

impl Job {
    pub(crate) fn new(name: String, dir: &Path, image: &str, rng: &mut Rng) -> Self {
        let count = dir.join(&name);
        let (code, rerunnable) = (rng.u8(0..100), rng.u8(0..3) == 0);
        let in_container = rng.u8(0..5) < 2;
        let to = count.display();
        // A run that ends after another one has begun was not interrupted.
        let script = format!(
            "read run </proc/sys/kernel/random/uuid; echo run $run >>{to}; busybox usleep {}; \
             echo end $run >>{to}; exit {code}",
            rng.u32(0..1_500_000)
        );
        let mut template = JobTemplate {
            remote_command: Some("busybox".into()),
            args: Some(["sh", "-c", &script].map(Text::from).into()),
            job_category: Some(if in_container { image } else { "host" }.into()),
            job_name: Some(name.as_str().into()),
            rerunnable,
            ..JobTemplate::default()
        };
        if in_container {
            let mount = format!("{}:{}", dir.display(), dir.display());
            template.extensions.insert("containerd_jt_mounts".to_owned(), mount.into());
        }
        Self {
            name,
            template,
            code: code.into(),
            count,
            id: None,
            number: None,
            is_doubtful: false,
            is_terminated: false,
        }
    }

    /// The number of times that the job has begun, and that the last run, and others, have ended.
    fn told(&self) -> (usize, usize, usize) {
        let text = std::fs::read_to_string(&self.count).unwrap_or_default();
        let of = |word: &str| {
            let runs = text.lines().filter_map(|line| line.strip_prefix(word));
            runs.map(|run| run.trim().to_owned()).collect::<Vec<_>>()
        };
        let (runs, ends) = (of("run"), of("end"));
        let last = ends.iter().filter(|end| runs.last() == Some(end)).count();
        (runs.len(), last, ends.len() - last)
    }

    /// Returns whether its script has last told something at this time or later.
    fn has_told_since(&self, time: SystemTime) -> bool {
        let told = std::fs::metadata(&self.count).and_then(|file| file.modified());
        told.is_ok_and(|at| at >= time)
    }

    /// The errors in the account of the job, after these faults, the first of which began at this time, each with
    /// whether it was aimed at this job.
    pub(crate) fn check(
        &self,
        account: Option<&Value>,
        faults: &[(Fault, bool)],
        begun: SystemTime,
    ) -> Vec<String> {
        let (runs, ends, others) = self.told();
        let mut wrong = Vec::new();
        let mut note = |text: String| {
            let text = format!("{}: {text}; runs {runs}, ends {ends}: {account:?}", self.describe());
            wrong.push(text);
        };
        if others > 0 {
            note("a run that had not been interrupted was followed by another".to_owned());
        }
        let Some(account) = account else {
            if runs > 0 || !self.is_doubtful {
                note("the session does not know it".to_owned());
            }
            return wrong;
        };
        let hit =
            faults.iter().any(|(fault, aimed)| fault.may_hit_all() || *aimed && fault.may_hit_one());
        let ended = faults.iter().any(|(fault, aimed)| *aimed && fault.ends());
        let again = self.template.rerunnable && hit;
        if runs > 1 && !again {
            note("it has run more than once".to_owned());
        }
        let code = account["code"].as_i64();
        let is_true = code == Some(self.code) && account["signal"].is_null() && ends > 0;
        let text = account["text"].as_str().unwrap_or_default();
        let is_honest = account["done"] == false
            && (text.contains("runtime lost")
                || matches!(account["signal"].as_str(), Some("SIGKILL" | "SIGTERM"))
                || runs == 0 && code.is_none());
        let excused = self.is_terminated || ended || hit && !self.template.rerunnable;
        match (is_true, is_honest) {
            (true, _) => {}
            (false, true) if excused => {}
            (false, true) => note("it was interrupted".to_owned()),
            (false, false) => note("this is no true end".to_owned()),
        }
        // Slurm may have killed it at its very last line.
        let is_cut = is_honest && hit && self.has_told_since(begun);
        if ends > 0 && !is_true && !self.is_terminated && !ended && !is_cut {
            note("it has run to its end".to_owned());
        }
        wrong
    }

    fn describe(&self) -> String {
        let kind = if self.template.rerunnable { "rerunnable" } else { "once" };
        let place = self.template.job_category.as_ref().map(Text::to_string).unwrap_or_default();
        format!("job {} {kind} {place} exit {} {:?} {:?}", self.name, self.code, self.id, self.number)
    }
}
