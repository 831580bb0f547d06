//! A database in which another version, or somebody else, has written: any value in any column. What
//! cannot be read is an error, and the rest goes on to C.

#![no_main]
// A panic is what a target reports.
#![allow(clippy::panic)]

use std::fs;
use std::sync::{Mutex, PoisonError};

use arbitrary::Arbitrary;
use drmaa2::ffi::fuzzing;
use drmaa2::model::{Error, JobTemplate, Owner, ReservationTemplate, Result, Scope, now};
use drmaa2::scheduler::{Pool, Request, find_window, plan};
use drmaa2::store::{
    Claim, Kind, Mailer, Most, NewReservation, NewTask, NewTasks, NextMail, Queue, Store, Submission,
    Targets, Terms,
};
use drmaa2::tracker::{Settings, Stdio, Submitter, TaskRange};
use libfuzzer_sys::fuzz_target;
use rusqlite::types::Value;
use rusqlite::{Connection, params};

const TARGET: &str = "t";
const ALL: Scope = Scope { uid: 1000, others: true };
/// Parents come before their children.
const TABLES: [&str; 9] = [
    "sessions",
    "pools",
    "reservation_sessions",
    "reservations",
    "submissions",
    "jobs",
    "mails",
    "listeners",
    "events",
];

#[derive(Debug, Arbitrary)]
enum Cell {
    Null,
    Integer(i64),
    Small(i8),
    Real(f64),
    Text(String),
    Blob(Vec<u8>),
}

#[derive(Debug, Arbitrary)]
struct Edit {
    column: u8,
    every: bool,
    cell: Cell,
}

impl From<Cell> for Value {
    fn from(cell: Cell) -> Self {
        match cell {
            Cell::Null => Self::Null,
            Cell::Integer(number) => Self::Integer(number),
            Cell::Small(number) => Self::Integer(number.into()),
            Cell::Real(number) => Self::Real(number),
            Cell::Text(text) => Self::Text(text),
            Cell::Blob(bytes) => Self::Blob(bytes),
        }
    }
}

/// A store with something of each kind, which can be brought back to how it was.
struct Fixture {
    store: Store,
    sql: Connection,
    columns: Vec<(String, String)>,
}

fn terms() -> Terms {
    Terms {
        pool: Pool {
            slots: Some(4),
            memory: Some(1 << 20),
            queue: "q".into(),
            queue_slots: Some(3),
            user_slots: None,
        },
        rank: 1,
        priority: 2,
        slots: (1, 2),
        memory: 1024,
        max_parallel: Some(2),
        start: None,
        wall_clock: Some(60_000),
        reservation: None,
        deadline: Some(now() + 3_600_000),
    }
}

fn fill(store: &Store) -> Result<()> {
    let mine = Claim::mine();
    let session = store.create_session(Kind::Job, "s", Some("contact"), &owner(), None)?;
    let reserving = store.create_session(Kind::Reservation, "r", None, &owner(), None)?;
    let (user, machine) = ("u".to_owned(), "m".to_owned());
    let submitter = Submitter { user, uid: 1000, gid: 100, groups: vec![100], umask: 0o22, machine };
    let template = JobTemplate {
        remote_command: Some("/bin/true".into()),
        email: Some(vec!["u@m".into()]),
        email_on_started: true,
        email_on_terminated: true,
        ..JobTemplate::default()
    };
    let tasks = [1, 3].map(|index| NewTask { index, ..NewTask::default() });
    let submit = |id: &str, tasks, hand_over| {
        store.submit(&Submission {
            id,
            session: session.id,
            target: TARGET,
            template: &template,
            submitter: &submitter,
            stdio: &Stdio::default(),
            settings: &Settings::stored("{}".into()),
            mailer: Some(&Mailer { program: "/sendmail".into(), uid: 0 }),
            terms: &terms(),
            tasks,
            failure: None,
            most: Most::default(),
            hand_over,
        })
    };
    submit("job", None, None)?;
    submit("array", Some(NewTasks::Each(&tasks)), None)?;
    store.listen(&mine)?;
    admit(store, &mine)?;
    for job in ["job", "array.1"] {
        store.job_started(job, now(), None)?;
    }
    reserve(store, reserving.id, "reservation")?;
    // At last: any other change would make the rows of its tasks.
    let range = TaskRange { first: 1, last: 3, step: 2 };
    submit("folded", Some(NewTasks::Alike(range)), Some(&mine))
}

fn owner() -> Owner {
    Owner { user: "u".to_owned(), uid: 1000 }
}

/// Reserve some slots for a minute.
fn reserve(store: &Store, session: i64, id: &str) -> Result<()> {
    let new = NewReservation {
        id,
        session,
        target: TARGET,
        template: &ReservationTemplate::default(),
        owner: &owner(),
        machine: "m",
        users: &["u".to_owned()],
        memory: 1,
    };
    let request = Request {
        begins: None,
        ends: None,
        duration: Some(60_000),
        min_slots: 1,
        max_slots: 2,
        memory: 1,
    };
    store.reserve(&new, |now, machine| {
        find_window(now, 4, None, machine, &request).ok_or_else(|| Error::argument("no window"))
    })
}

fn admit(store: &Store, mine: &Claim) -> Result<bool> {
    let mut decide = |queue: Queue<'_>| plan(now(), queue.machine, queue.pools, queue.candidates, 2, 1);
    store.admit(now(), &Targets::new([TARGET])?, mine, &mut decide)
}

impl Fixture {
    fn new() -> std::result::Result<Self, Box<dyn std::error::Error>> {
        let dir = std::env::temp_dir().join("stored_rows");
        if dir.exists() {
            fs::remove_dir_all(&dir)?;
        }
        let store = Store::open(&dir)?;
        fill(&store)?;
        let sql = Connection::open(dir.join("drmaa2.db"))?;
        let mut columns = Vec::new();
        for table in TABLES {
            sql.execute_batch(&format!("CREATE TABLE kept_{table} AS SELECT * FROM {table}"))?;
            let mut query = sql.prepare("SELECT name FROM pragma_table_info(?)")?;
            for name in query.query_map([table], |row| row.get::<_, String>(0))? {
                columns.push((table.to_owned(), name?));
            }
        }
        // They change other rows than those that are meant.
        let triggers: Vec<String> = sql
            .prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'")?
            .query_map([], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        for trigger in triggers {
            sql.execute_batch(&format!("DROP TRIGGER {trigger}"))?;
        }
        sql.pragma_update(None, "foreign_keys", false)?;
        Ok(Self { store, sql, columns })
    }

    /// Bring all rows back to how they were, but for these edits.
    fn edit(&mut self, edits: Vec<Edit>) -> rusqlite::Result<()> {
        let change = self.sql.transaction()?;
        for table in TABLES {
            change.execute_batch(&format!(
                "DELETE FROM {table}; INSERT INTO {table} SELECT * FROM kept_{table}"
            ))?;
        }
        for Edit { column, every, cell } in edits {
            let (table, column) = &self.columns[usize::from(column) % self.columns.len()];
            let update = format!("UPDATE {table} SET {column} = ?1 WHERE ?2 OR rowid % 2 = 1");
            // No version can have written what the schema does not allow.
            let _ = change.prepare_cached(&update)?.execute(params![Value::from(cell), every]);
        }
        change.commit()
    }

    /// All that reads rows.
    fn read(&self) {
        let (store, mine, now) = (&self.store, Claim::mine(), now());
        for id in ["job", "array.1", "array.3"] {
            let _ = (store.order(id), store.job_state(id), store.template(id), store.array_of(id));
            let _ = (store.unsettled_job(id), store.is_to_be_held(id), store.loss(id, &mine));
            if let Ok(Some(job)) = store.job(id) {
                assert_eq!(fuzzing::job_info(&job.info), Ok(()));
            }
        }
        let _ = (store.array("array"), store.array_jobs("array"), store.template("array"));
        let _ = (
            store.session_jobs(1),
            store.session(Kind::Job, "s", ALL),
            store.session_names(Kind::Job, ALL),
        );
        for job in store.all_jobs().unwrap_or_default() {
            assert_eq!(fuzzing::job_info(&job.info), Ok(()));
        }
        if let Ok(Some(found)) = store.reservation("reservation") {
            assert_eq!(fuzzing::reservation_info(&found.info), Ok(()));
        }
        let _ = (store.all_reservations(), store.session_reservations(1));
        let _ = (store.unsettled_jobs(TARGET), store.unsettled_targets(), store.given_up_targets());
        let _ = (store.claimed_jobs(&mine), store.overdue_jobs(now), store.claimers());
        let _ = (store.next_change(now), store.take_events(&mine, 0, 10));
        if let Ok(NextMail::Claimed(number)) = store.claim_mail(&mine, now) {
            let _ = (store.take_mail(number, &mine, &mine), store.mail_failed(number, &mine, "no"));
        }
        let _ = (admit(store, &mine), reserve(store, 1, "another"));
        let _ = (store.expire_reservations(now), store.expire_deadlines(now));
    }
}

static FIXTURE: Mutex<Option<Fixture>> = Mutex::new(None);

fuzz_target!(|edits: Vec<Edit>| {
    let mut fixture = FIXTURE.lock().unwrap_or_else(PoisonError::into_inner);
    let fixture = fixture.get_or_insert_with(|| match Fixture::new() {
        Ok(fixture) => fixture,
        Err(error) => panic!("no store: {error}"),
    });
    match fixture.edit(edits) {
        Ok(()) => fixture.read(),
        Err(error) => panic!("the rows are not written: {error}"),
    }
});
