//! Jobs in the store: every step of a job's life is one method here.

use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use super::query::{state, state_of};
use super::sessions::sweep;
use super::{Claim, Store};
use crate::model::{Error, JobState, JobTemplate, Millis, Outcome, Result, Text, now};
use crate::tracker::{Stdio, Submitter};

/// What a job is submitted with.
pub struct NewRow<'a> {
    /// Its id.
    pub id: &'a str,
    /// The row of its session.
    pub session: i64,
    /// The runtime that shall run it.
    pub target: &'a str,
    /// What the user asked for.
    pub template: &'a JobTemplate,
    /// On whose behalf.
    pub submitter: &'a Submitter,
    /// Host files of its standard streams.
    pub stdio: &'a Stdio,
}

impl Store {
    /// Store a new job, QUEUED. INVALID_SESSION if its session has been destroyed.
    pub fn insert_job(&self, row: &NewRow<'_>) -> Result<()> {
        let name = row.template.job_name.as_ref().filter(|name| !name.is_empty()).map(Text::to_string);
        let (template, submitter, stdio) = (json(row.template)?, json(row.submitter)?, json(row.stdio)?);
        self.write(|sql| {
            let added = sql
                .prepare_cached(
                    "INSERT INTO jobs
                         (id, session, name, target, template, submitter, stdio, state, submitted)
                     SELECT ?1, id, ?3, ?4, ?5, ?6, ?7, ?8, ?9
                     FROM sessions WHERE id = ?2 AND destroyed = 0",
                )?
                .execute(params![
                    row.id,
                    row.session,
                    name,
                    row.target,
                    template,
                    submitter,
                    stdio,
                    JobState::Queued as i32,
                    now()
                ])?;
            match added {
                0 => Err(Error::session("the job session has been destroyed").into()),
                _ => Ok(()),
            }
        })
    }

    /// Take a waiting job to start it, from `holder` (a process that died) or from nobody. False if
    /// another was faster. From here on the runtime may hold something of it.
    pub fn claim_job(&self, id: &str, holder: Option<&Claim>, mine: &Claim) -> Result<bool> {
        self.write(|sql| {
            let claimed = sql
                .prepare_cached(
                    "UPDATE jobs SET claim = ?3, leftovers = 1
                     WHERE id = ?1 AND claim IS ?2 AND state IN (1, 5)",
                )?
                .execute(params![id, holder, mine])?;
            Ok(claimed == 1)
        })
    }

    /// Drop a job that could not be started, as if it had never been. False if it is not waiting.
    pub fn withdraw_job(&self, id: &str) -> Result<bool> {
        self.write(|sql| {
            let gone = sql
                .prepare_cached("DELETE FROM jobs WHERE id = ? AND state NOT IN (3, 4, 7, 8)")?
                .execute([id])?;
            sweep(sql)?;
            Ok(gone == 1)
        })
    }

    /// The job's command has started. True if that was news.
    pub fn job_started(&self, id: &str, at: Millis) -> Result<bool> {
        self.advance(id, JobState::is_queued, |sql| {
            sql.prepare_cached(
                "UPDATE jobs SET state = 3, dispatched = coalesce(dispatched, ?2), claim = NULL
                 WHERE id = ?1 AND state NOT IN (3, 4, 7, 8)",
            )?
            .execute(params![id, at])
        })
    }

    /// The job was stopped for now. True if that was news.
    pub fn job_suspended(&self, id: &str) -> Result<bool> {
        self.advance(
            id,
            |state| state == JobState::Running,
            |sql| {
                sql.prepare_cached("UPDATE jobs SET state = 4 WHERE id = ? AND state = 3")?.execute([id])
            },
        )
    }

    /// The job goes on. True if that was news.
    pub fn job_resumed(&self, id: &str) -> Result<bool> {
        self.advance(
            id,
            |state| state == JobState::Suspended,
            |sql| {
                sql.prepare_cached("UPDATE jobs SET state = 3 WHERE id = ? AND state = 4")?.execute([id])
            },
        )
    }

    /// The job has ended. True if that was news: whoever brings it cleans up.
    pub fn job_ended(&self, id: &str, outcome: &Outcome) -> Result<bool> {
        self.advance(
            id,
            |state| !state.is_terminated(),
            |sql| {
                sql.prepare_cached(
                    "UPDATE jobs SET state = ?2, dispatched = coalesce(dispatched, ?3), finished = ?4,
                     exit_status = ?5, signal = ?6, annotation = ?7, cpu_time = ?8, max_rss = ?9,
                     claim = NULL
                 WHERE id = ?1 AND state NOT IN (7, 8)",
                )?
                .execute(params![
                    id,
                    outcome.state() as i32,
                    outcome.started,
                    outcome.finished,
                    outcome.exit_status,
                    outcome.signal,
                    outcome.reason,
                    outcome.cpu_time,
                    outcome.max_rss
                ])
            },
        )
    }

    /// Note that the job shall end; one that nobody has begun to start ends right here. Gives its
    /// state afterwards. INVALID_ARGUMENT if there is no such job.
    pub fn terminate_job(&self, id: &str) -> Result<JobState> {
        self.write(|sql| {
            sql.prepare_cached("UPDATE jobs SET terminate = 1 WHERE id = ? AND state NOT IN (7, 8)")?
                .execute([id])?;
            sql.prepare_cached(
                "UPDATE jobs SET state = 8, finished = ?2, annotation = 'terminated before it started'
                 WHERE id = ?1 AND claim IS NULL AND state NOT IN (3, 4, 7, 8)",
            )?
            .execute(params![id, now()])?;
            state_of(sql, id)?.ok_or_else(|| unknown(id).into())
        })
    }

    /// Forget an ended job. INVALID_STATE if it has not ended.
    pub fn reap_job(&self, id: &str) -> Result<()> {
        self.write(|sql| {
            let state = state_of(sql, id)?.ok_or_else(|| unknown(id))?;
            if !state.is_terminated() {
                return Err(Error::state(format!("job {id}: cannot reap a job that is {state}")).into());
            }
            sql.prepare_cached("UPDATE jobs SET reaped = 1 WHERE id = ?")?.execute([id])?;
            sweep(sql)?;
            Ok(())
        })
    }

    /// Nothing is left of the job but its row.
    pub fn job_deleted(&self, id: &str) -> Result<()> {
        self.write(|sql| {
            sql.prepare_cached(
                "UPDATE jobs SET leftovers = 0, reaped = reaped OR EXISTS
                     (SELECT 1 FROM sessions s WHERE s.id = jobs.session AND s.destroyed = 1)
                 WHERE id = ? AND state IN (7, 8)",
            )?
            .execute([id])?;
            sweep(sql)?;
            Ok(())
        })
    }

    /// Run a change unless the job's state shows that somebody else made it already: with several
    /// processes on one store each of them sees the same event.
    fn advance(
        &self,
        id: &str,
        applies: impl FnOnce(JobState) -> bool,
        change: impl FnOnce(&Connection) -> rusqlite::Result<usize>,
    ) -> Result<bool> {
        let query = "SELECT state FROM jobs WHERE id = ?";
        let stored = self.read(|sql| {
            Ok(sql.prepare_cached(query)?.query_row([id], |row| state(row, 0)).optional()?)
        })?;
        if !stored.is_some_and(applies) {
            return Ok(false);
        }
        self.write(|sql| Ok(change(sql)? == 1))
    }
}

fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::internal(format!("cannot store a job: {error}")))
}

fn unknown(id: &str) -> Error {
    Error::argument(format!("job {id} does not exist"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ErrorCode, SlotInfo};
    use crate::store::{Job, Session};

    fn store() -> (tempfile::TempDir, Store, Session) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let session = store.create_session("s", None).unwrap();
        (dir, store, session)
    }

    fn submitter() -> Submitter {
        Submitter {
            user: "alice".into(),
            uid: 1000,
            gid: 100,
            groups: vec![100, 7],
            umask: 0o27,
            machine: "node1".into(),
        }
    }

    fn insert(store: &Store, session: &Session, id: &str) {
        let template = JobTemplate {
            remote_command: Some("/bin/true".into()),
            job_name: Some("n".into()),
            args: Some(vec![Text::from(&b"\xff"[..])]),
            ..JobTemplate::default()
        };
        let stdio = Stdio { output: Some("/o".into()), join: true, ..Stdio::default() };
        let submitter = submitter();
        store
            .insert_job(&NewRow {
                id,
                session: session.id,
                target: "t",
                template: &template,
                submitter: &submitter,
                stdio: &stdio,
            })
            .unwrap();
    }

    fn exit(code: i32) -> Outcome {
        Outcome { exit_status: Some(code), started: Some(5), finished: 9, ..Outcome::default() }
    }

    #[test]
    fn a_job_goes_through_its_life_once() {
        let (_dir, store, session) = store();
        insert(&store, &session, "a");
        let mine = Claim::mine();
        assert!(store.claim_job("a", None, &mine).unwrap());
        assert!(!store.claim_job("a", None, &mine).unwrap(), "claimed twice");
        let state = |store: &Store| store.job("a").unwrap().unwrap().info;
        assert_eq!(state(&store).substate.as_deref(), Some("creating"));
        assert!(store.job_started("a", 5).unwrap());
        assert!(!store.job_started("a", 6).unwrap());
        assert!(!store.job_resumed("a").unwrap());
        assert!(store.job_suspended("a").unwrap());
        assert_eq!(state(&store).state, JobState::Suspended);
        assert!(store.job_resumed("a").unwrap());
        assert!(store.job_ended("a", &exit(3)).unwrap());
        assert!(!store.job_ended("a", &exit(0)).unwrap());
        let info = state(&store);
        assert_eq!((info.state, info.exit_status), (JobState::Failed, Some(3)));
        assert_eq!((info.dispatched, info.finished), (Some(5), Some(9)));
        assert_eq!(info.owner.as_deref(), Some("alice"));
        assert_eq!(info.allocated_machines, [SlotInfo { machine: "node1".into(), slots: 1 }]);
        assert!(!store.job_started("a", 7).unwrap(), "an ended job does not start");
    }

    #[test]
    fn an_order_comes_back_as_it_was_given() {
        let (_dir, store, session) = store();
        insert(&store, &session, "a");
        let order = store.order("a").unwrap().unwrap();
        assert_eq!(order.submitter, submitter());
        assert_eq!(order.template.args, Some(vec![Text::from(&b"\xff"[..])]));
        assert!(order.stdio.join);
        assert_eq!(store.order("b").unwrap(), None);
    }

    #[test]
    fn a_claim_passes_only_from_the_holder_that_was_seen() {
        let (_dir, store, session) = store();
        insert(&store, &session, "a");
        let mine = Claim::mine();
        assert!(store.claim_job("a", None, &mine).unwrap());
        assert!(!store.claim_job("a", None, &mine).unwrap());
        assert!(store.claim_job("a", Some(&mine), &mine).unwrap());
        store.job_started("a", 1).unwrap();
        assert!(!store.claim_job("a", None, &mine).unwrap(), "a started job is claimed by nobody");
    }

    #[test]
    fn reap_wants_an_ended_job_and_keeps_its_leftovers_in_mind() {
        let (_dir, store, session) = store();
        insert(&store, &session, "a");
        store.claim_job("a", None, &Claim::mine()).unwrap();
        assert_eq!(store.reap_job("a").unwrap_err().code, ErrorCode::InvalidState);
        store.job_ended("a", &exit(0)).unwrap();
        store.reap_job("a").unwrap();
        assert_eq!(store.job("a").unwrap(), None);
        assert_eq!(store.reap_job("a").unwrap_err().code, ErrorCode::InvalidArgument);
        assert_eq!(store.unsettled_jobs("t").unwrap().len(), 1, "the runtime still holds it");
        store.job_deleted("a").unwrap();
        assert!(store.unsettled_jobs("t").unwrap().is_empty());
        assert_eq!(store.order("a").unwrap(), None, "the row is gone");
    }

    #[test]
    fn terminating_ends_a_job_that_nobody_started_and_marks_the_others() {
        let (_dir, store, session) = store();
        insert(&store, &session, "waiting");
        assert_eq!(store.terminate_job("waiting").unwrap(), JobState::Failed);
        insert(&store, &session, "starting");
        store.claim_job("starting", None, &Claim::mine()).unwrap();
        assert_eq!(store.terminate_job("starting").unwrap(), JobState::Queued);
        assert!(store.job("starting").unwrap().unwrap().terminate);
        assert_eq!(store.terminate_job("none").unwrap_err().code, ErrorCode::InvalidArgument);
    }

    #[test]
    fn a_destroyed_session_takes_its_ended_jobs_along_and_leaves_the_running_ones() {
        let (_dir, store, session) = store();
        for id in ["ended", "running"] {
            insert(&store, &session, id);
            store.claim_job(id, None, &Claim::mine()).unwrap();
            store.job_started(id, 1).unwrap();
        }
        store.job_ended("ended", &exit(0)).unwrap();
        store.job_deleted("ended").unwrap();
        store.destroy_session("s").unwrap();
        assert!(!store.has_session(session.id).unwrap());
        assert_eq!(store.job("ended").unwrap(), None);
        assert!(store.job("running").unwrap().unwrap().orphaned);

        let again = store.create_session("s", None).unwrap();
        assert_ne!(again.id, session.id);
        assert!(store.session_jobs(again.id).unwrap().is_empty());

        store.job_ended("running", &exit(0)).unwrap();
        store.job_deleted("running").unwrap();
        assert!(store.all_jobs().unwrap().is_empty());
    }

    #[test]
    fn jobs_of_one_session_are_not_those_of_another() {
        let (_dir, store, session) = store();
        let other = store.create_session("other", Some("contact")).unwrap();
        for id in ["c", "a", "b"] {
            insert(&store, &session, id);
        }
        insert(&store, &other, "d");
        let ids = |jobs: Vec<Job>| jobs.into_iter().map(|job| job.info.id).collect::<Vec<_>>();
        assert_eq!(ids(store.session_jobs(session.id).unwrap()), ["c", "a", "b"]);
        assert_eq!(ids(store.all_jobs().unwrap()), ["c", "a", "b", "d"]);
        assert_eq!(store.session("other").unwrap(), other);
        assert_eq!(store.session_names().unwrap(), ["s", "other"]);
    }
}
