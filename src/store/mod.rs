//! The authoritative record of jobs: a SQLite file in the state directory, shared by every process of a
//! user.
//!
//! Only this module uses SQL. Each method is one transaction, so its effect is there for all processes
//! or for none.

mod ballast;
mod changes;
mod claim;
mod control;
pub mod damage;
mod events;
#[cfg(test)]
mod events_tests;
mod fold;
mod glance;
mod hold;
#[cfg(test)]
mod hold_tests;
#[cfg(test)]
mod jobs_tests;
mod leftovers;
#[cfg(test)]
mod leftovers_tests;
mod life;
mod mails;
#[cfg(test)]
mod mails_tests;
mod migrations;
mod order;
mod owners;
mod pages;
mod query;
mod queue;
mod readers;
pub mod record_lock;
mod rerun;
#[cfg(test)]
mod rerun_tests;
mod reservations;
mod rows;
mod sessions;
mod space;
mod stored;
mod submit;
mod sweep;
mod together;
mod transaction;
mod turn;
mod work;
mod writer;

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use nix::unistd::{AccessFlags, access};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Transaction};

use crate::fork;
use crate::model::{Error, ErrorCode, Result};
use crate::sync::Mutex;
use ballast::Ballast;
use fold::HandedOver;
use migrations::{FIRST_TO_SHRINK, VERSION, migrate, version};
use readers::Readers;
use transaction::{Failable, Failure, at_one_moment, transact};
use turn::{Turn, Turns};
use writer::Writer;

pub use changes::Changes;
pub use claim::Claim;
pub use control::{Terminating, Which};
pub use events::Event;
pub use glance::Glance;
pub use hold::Holding;
pub use life::{Retry, Word};
pub use mails::{Mail, Mailer, NextMail};
pub use query::{Array, Job, Standing};
pub use queue::{Decide, Queue, Targets};
pub use rerun::Loss;
pub use reservations::{NewReservation, Reservation};
pub use sessions::{Kind, Session};
pub use stored::Most;
pub use submit::{NewTask, NewTasks, Submission, Terms, task_id};
pub use work::{Phase, Unsettled};

const FILE: &str = "drmaa2.db";
/// The bell, written after each transaction. SQLite's own files are not suitable: their last write comes
/// before the transaction becomes visible.
const BELL: &str = "drmaa2.bell";
/// The longest time that a transaction waits for those of other processes.
const BUSY: Duration = Duration::from_secs(10);

/// Bytes of the journal that stay for the next transactions: about what is written between two checkpoints.
const JOURNAL: i64 = 4 << 20;
/// SQLite's number of the kind of file that gives space back when it is asked to.
const INCREMENTAL: i64 = 2;

/// The database of one state directory.
pub struct Store {
    path: PathBuf,
    /// Writers of one process queue here: SQLite itself waits by sleeping and polling.
    writer: Mutex<Writer>,
    /// The threads that wait for it, to write together with the one that has it.
    waiting: AtomicUsize,
    readers: Readers,
    turns: Turns,
    ballast: Ballast,
    handed_over: HandedOver,
    /// There was a transaction since the last look for free space.
    written: AtomicBool,
    /// The file is there. If it is deleted later, with the state directory, none is made in its place.
    made: AtomicBool,
}

impl Store {
    /// Open the store of a state directory; make both if they are missing.
    pub fn open(state_dir: &Path) -> Result<Self> {
        make_dir(state_dir)?;
        let path = state_dir.join(FILE);
        let bell = File::options().write(true).create(true).truncate(false).open(state_dir.join(BELL));
        let bell = bell.map_err(|error| io_error(&error, &state_dir.join(BELL)))?;
        let store = Self {
            path,
            writer: Mutex::default(),
            waiting: AtomicUsize::default(),
            readers: Readers::default(),
            turns: Turns::of(bell, BUSY),
            ballast: Ballast::of(state_dir),
            handed_over: HandedOver::default(),
            written: AtomicBool::new(true),
            made: AtomicBool::default(),
        };
        // Without a need to write, no writer can keep this one waiting.
        let found = store.look(|sql| Ok(version(sql)?))?;
        store.made.store(true, Ordering::Relaxed);
        if found != VERSION {
            store.alone(|connection| transact(connection, |sql| migrate(sql, &store.path)))?;
        }
        if (1..FIRST_TO_SHRINK).contains(&found)
            && let Err(error) = store.rewrite()
        {
            tracing::warn!(%error, "the database will not give space back");
        }
        store.ballast.take();
        Ok(store)
    }

    /// Let go of the connections of a parent process. SQLite keeps their locks in the memory of the
    /// process and would count them as this one's, which they are not: a child's connections beside them
    /// would be without a lock.
    pub fn abandon(&self) {
        let _whole = fork::whole();
        drop(self.writer.lock().connection.take());
        self.readers.clear();
        self.handed_over.lock().clear();
    }

    /// Leave an array in one row that this process is about to submit, and to hand over as one.
    pub fn hands_over(&self, array: &str) {
        let _whole = fork::whole();
        self.handed_over.lock().insert(array.to_owned());
    }

    /// Have the tasks of such an array seen from now on. Without this, they are not for as long as the process lives.
    pub fn shows_tasks(&self, array: &str) {
        let _whole = fork::whole();
        self.handed_over.lock().remove(array);
    }

    /// The file whose changes announce transactions of any process.
    pub fn bell(&self) -> PathBuf {
        self.path.with_file_name(BELL)
    }

    /// Returns whether the state directory is still there. Without it no other process knows what is
    /// stored here.
    pub fn is_there(&self) -> bool {
        self.turns.bell().metadata().is_ok_and(|bell| bell.nlink() > 0)
    }

    /// Write the file anew, so that it is made to give space back.
    fn rewrite(&self) -> Result<()> {
        let _whole = fork::whole();
        let mut writer = self.writer.lock();
        let _turn = self.turns.wait()?;
        let connection = self.connection(writer.connection.take())?;
        let done = connection.execute_batch("PRAGMA auto_vacuum = incremental; VACUUM");
        writer.connection = Some(connection);
        done.map_err(|error| sql_error(&error, &self.path))
    }

    fn journal(&self) -> PathBuf {
        self.path.with_file_name(format!("{FILE}-wal"))
    }

    /// Bring every transaction so far to stable storage. Without this, a transaction survives a crash of
    /// the process, but not of the machine.
    pub fn sync(&self) -> Result<()> {
        match File::open(self.journal()).and_then(|journal| journal.sync_data()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error(&error, &self.path)),
            _ => Ok(()),
        }
    }

    fn write<T>(&self, body: impl FnOnce(&Transaction<'_>) -> Failable<T>) -> Result<T> {
        self.write_quietly(body).inspect(|_| self.ring())
    }

    /// Have all processes notice a change.
    fn ring(&self) {
        if let Err(error) = self.turns.bell().write_all_at(b"!", 0) {
            tracing::warn!(%error, "other processes may notice a change late");
        }
    }

    /// Make a transaction that other processes need not notice.
    fn write_quietly<T>(&self, body: impl FnOnce(&Transaction<'_>) -> Failable<T>) -> Result<T> {
        self.alone(|connection| {
            self.unfold(connection);
            transact(connection, body)
        })
    }

    /// Make the rows of arrays that were left in one.
    fn unfold(&self, connection: &mut Connection) {
        // If that is impossible, for instance on a full disk, nothing else may suffer.
        if let Err(failure) = fold::unfold(connection, &self.handed_over) {
            let error = self.error(failure);
            tracing::warn!(%error, "the tasks of an array cannot be seen yet");
        }
    }

    /// Wait for the turn of this process.
    fn turn(&self) -> Result<Turn> {
        let turn = self.turns.wait();
        self.written.store(true, Ordering::Relaxed);
        turn.map_err(|error| error.of(format_args!("job store {}", self.path.display())))
    }

    /// Do something while nobody else writes.
    fn alone<T>(&self, body: impl FnOnce(&mut Connection) -> Failable<T>) -> Result<T> {
        // The gate first: a forked child must find the writer's lock free.
        let _whole = fork::whole();
        let mut writer = self.writer.lock();
        self.commit_open(&mut writer);
        let _turn = self.turn()?;
        let mut connection = self.connection(writer.connection.take())?;
        let value = body(&mut connection).map_err(|failure| self.error(failure));
        writer.connection = Some(connection);
        value
    }

    /// Read what one moment shows, in as many statements as needed.
    fn read<T>(&self, body: impl FnOnce(&Connection) -> Failable<T>) -> Result<T> {
        let mut body = Some(body);
        let read = self.look(|sql| match fold::any(sql, &self.handed_over)? {
            true => Ok(None),
            false => body.take().map(|body| body(sql)).transpose(),
        })?;
        match (read, body) {
            (Some(value), _) => Ok(value),
            (None, Some(body)) => {
                if let Err(error) = self
                    .alone(|connection| fold::unfold(connection, &self.handed_over))
                    .inspect(|()| self.ring())
                {
                    tracing::warn!(%error, "the tasks of an array cannot be seen yet");
                }
                self.look(body)
            }
            (None, None) => Err(Error::internal("a look at the job store that has no result")),
        }
    }

    /// The same, with nothing done before.
    fn look<T>(&self, body: impl FnOnce(&Connection) -> Failable<T>) -> Result<T> {
        self.glimpse(|sql| at_one_moment(sql, body))
    }

    /// The same with one statement, which sees one moment by itself: begin and end cost as much as a short one.
    fn glimpse<T>(&self, body: impl FnOnce(&Connection) -> Failable<T>) -> Result<T> {
        let _whole = fork::whole();
        let mut place = self.readers.take();
        let connection = self.connection(place.connection.take())?;
        let value = body(&connection).map_err(|failure| self.error(failure));
        // One whose transaction did not end is closed.
        place.connection = Some(connection).filter(Connection::is_autocommit);
        value
    }

    fn connection(&self, kept: Option<Connection>) -> Result<Connection> {
        let make = !self.made.load(Ordering::Relaxed);
        kept.map_or_else(|| connect(&self.path, make).map_err(|failure| self.error(failure)), Ok)
    }

    fn error(&self, failure: Failure) -> Error {
        match failure {
            Failure::Sql(error) => sql_error(&error, &self.path),
            Failure::Refused(error) => error,
        }
    }
}

fn connect(path: &Path, make: bool) -> Failable<Connection> {
    pages::provide();
    let mut flags = OpenFlags::default();
    flags.set(OpenFlags::SQLITE_OPEN_CREATE, make);
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    // It counts for a new file, and there before anything else. Set again it would be written again, and synced.
    if connection.pragma_query_value(None, "auto_vacuum", |row| row.get::<_, i64>(0))? != INCREMENTAL {
        connection.pragma_update(None, "auto_vacuum", INCREMENTAL)?;
    }
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "normal")?;
    // The journal is cut to this when it begins anew, after a reader that was stopped, or a large transaction.
    connection.pragma_update(None, "journal_size_limit", JOURNAL)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // `abandon` closes connections, which then must not touch the files.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    // Without this guarantee, a statement is planned anew for each bound value if a partial index might
    // serve.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

fn io_error(error: &io::Error, path: &Path) -> Error {
    Error::new(code_of(error), format!("state directory {}: {error}", path.display()))
}

/// The error for a file of the store that the system refuses.
fn code_of(error: &io::Error) -> ErrorCode {
    match ErrorCode::of_io(error) {
        ErrorCode::InvalidArgument | ErrorCode::Internal => ErrorCode::SessionManagement,
        code => code,
    }
}

fn sql_error(error: &rusqlite::Error, path: &Path) -> Error {
    use rusqlite::ErrorCode as Sql;
    let code = match error.sqlite_error_code() {
        Some(Sql::DatabaseBusy | Sql::DatabaseLocked) => ErrorCode::TryLater,
        Some(Sql::DiskFull | Sql::OutOfMemory) => ErrorCode::OutOfResource,
        Some(Sql::CannotOpen | Sql::ReadOnly | Sql::PermissionDenied | Sql::SystemIoFailure) => {
            // SQLite does not pass on the system's reason. The file itself must not be opened: closing it would drop the
            // locks of all connections of the process.
            let usable = access(path, AccessFlags::R_OK | AccessFlags::W_OK).map_err(io::Error::from);
            let dir = path.parent().unwrap_or(path);
            match usable.and_then(|()| File::open(dir).map(drop)) {
                Err(cause) => {
                    let text = format!("job store {}: {error}: {cause}", path.display());
                    return Error::new(code_of(&cause), text);
                }
                Ok(()) => ErrorCode::SessionManagement,
            }
        }
        _ => ErrorCode::SessionManagement,
    };
    Error::new(code, format!("job store {}: {error}", path.display()))
}

/// Make a state directory, if it is missing.
pub fn make_dir(state_dir: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(state_dir);
    made.map_err(|error| io_error(&error, state_dir))
}

/// The directory of a job's files, which the tracker shares with the job's container.
pub fn jobs_dir(state_dir: &Path) -> Result<PathBuf> {
    let dir = state_dir.join("jobs");
    let made = DirBuilder::new().recursive(true).mode(0o700).create(&dir);
    made.map_err(|error| io_error(&error, &dir))?;
    fs::canonicalize(&dir).map_err(|error| io_error(&error, &dir))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Scope;

    #[test]
    fn a_deleted_store_is_not_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let store = Store::open(&state).unwrap();
        fs::remove_dir_all(&state).unwrap();
        fs::create_dir(&state).unwrap();
        store.abandon();
        assert!(store.any_mail().is_err());
        assert_eq!(fs::read_dir(&state).unwrap().count(), 0);
    }

    #[test]
    fn a_store_opens_twice_and_refuses_a_newer_schema() {
        let dir = tempfile::tempdir().unwrap();
        let first = Store::open(dir.path()).unwrap();
        Store::open(dir.path()).unwrap();
        first.sync().unwrap();
        first.write(|sql| Ok(sql.execute_batch("PRAGMA user_version = 99")?)).unwrap();
        let error = Store::open(dir.path()).err().unwrap();
        assert_eq!(error.code, ErrorCode::SessionManagement);
        assert!(error.message.contains("schema version is 99"), "{error}");
    }

    /// Each write is synced, and the first session of a process opens several connections.
    #[test]
    fn who_opens_a_store_writes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store.write(|sql| Ok(sql.execute_batch("DELETE FROM events")?)).unwrap();
        let written = || fs::metadata(store.journal()).unwrap().len();
        let before = written();
        assert!(before > 0);
        Store::open(dir.path()).unwrap().session_names(Kind::Job, Scope::ALL).unwrap();
        assert_eq!(written(), before);
    }

    #[test]
    fn a_file_that_is_no_database_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(
            dir.path().join(FILE),
            "rubbish, and more of it than fits in a page header".repeat(100),
        )
        .unwrap();
        let error = Store::open(dir.path()).err().unwrap();
        assert_eq!(error.code, ErrorCode::SessionManagement);
        assert!(error.message.contains(FILE), "{error}");
    }

    #[test]
    fn a_state_directory_that_cannot_be_made_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let blocked = dir.path().join("file");
        fs::write(&blocked, "").unwrap();
        let error = Store::open(&blocked.join("state")).err().unwrap();
        assert_eq!(error.code, ErrorCode::SessionManagement);
        assert!(error.message.contains("file/state"), "{error}");
    }

    #[test]
    fn a_refused_transaction_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let refused: Result<()> = store.write(|sql| {
            sql.execute("INSERT INTO sessions (name, owner, owner_uid) VALUES ('x', 'me', 7)", [])?;
            Err(Error::argument("no").into())
        });
        assert_eq!(refused.unwrap_err().code, ErrorCode::InvalidArgument);
        assert!(store.session_names(Kind::Job, Scope::ALL).unwrap().is_empty());
    }
}
