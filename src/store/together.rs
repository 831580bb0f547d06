//! One transaction for what several threads of this process write at one time.
//!
//! Who finds that another thread waits to write leaves its transaction open for that one, and returns once somebody has
//! committed it. Most of a commit is the same for one change as for many: pages, checksums, locks.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::Store;
use super::transaction::{Failable, in_savepoint};
use super::writer::{Open, Outcome, Writer};
use crate::fork;
use crate::model::Result;
use crate::sync::MutexGuard;

/// The most changes in a transaction: the first of them should not wait for long.
const MOST: usize = 64;
/// The time after which no more come into it: a change may be an array with all its tasks, and other processes wait.
const LONGEST: Duration = Duration::from_millis(20);

impl Store {
    /// Write, in one transaction with other threads that do the same. An error undoes this change alone.
    pub(super) fn write_together<T>(&self, body: impl Fn(&Connection) -> Failable<T>) -> Result<T> {
        match self.join(&body)? {
            (value, outcome) if outcome.wait() => Ok(value),
            // It failed with what others have written, or for a reason that another try shows.
            _ => self.write(|sql| body(sql)),
        }
    }

    fn join<T>(&self, body: &impl Fn(&Connection) -> Failable<T>) -> Result<(T, Arc<Outcome>)> {
        // The gate first: who counts as waiting must not be kept by a fork, which waits for all in here.
        let _whole = fork::whole();
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let mut writer = self.writer.lock();
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        // Both are closed, and all of it is undone, if this thread panics.
        let (mut connection, mut open) = self.opened(&mut writer)?;
        let value = in_savepoint(&mut connection, body).map_err(|failure| self.error(failure));
        open.changes += 1;
        open.has_news |= value.is_ok();
        let outcome = open.outcome.clone();
        // SQLite itself has undone all of it, after an error of the disk for instance.
        let undone = connection.is_autocommit();
        writer.connection = Some(connection);
        if !undone {
            let is_full = open.changes >= MOST || open.begun.elapsed() >= LONGEST;
            let is_last = self.waiting.load(Ordering::SeqCst) == 0 || is_full;
            writer.open = Some(open);
            if is_last {
                self.commit_open(&mut writer);
            }
        }
        value.map(|value| (value, outcome))
    }

    /// The transaction that is open, or a new one.
    fn opened(&self, writer: &mut MutexGuard<'_, Writer>) -> Result<(Connection, Open)> {
        if let Some(open) = writer.open.take()
            && let Some(connection) = writer.connection.take()
        {
            return Ok((connection, open));
        }
        let turn = self.turn()?;
        let mut connection = self.connection(writer.connection.take())?;
        self.unfold(&mut connection);
        // It ends with `commit_open`.
        let begin = connection.prepare_cached("BEGIN IMMEDIATE").and_then(|mut begin| begin.execute([]));
        if let Err(error) = begin {
            writer.connection = Some(connection);
            return Err(self.error(error.into()));
        }
        let outcome = Arc::default();
        Ok((
            connection,
            Open { outcome, changes: 0, has_news: false, begun: Instant::now(), _turn: turn },
        ))
    }

    /// Commit the transaction that waits for another thread, if there is one.
    pub(super) fn commit_open(&self, writer: &mut MutexGuard<'_, Writer>) {
        let Some(open) = writer.open.take() else { return };
        let Some(connection) = &writer.connection else { return };
        match connection.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([])) {
            Ok(_) => {
                // First: whoever is told may leave, and end its process, before this thread goes on.
                if open.has_news {
                    self.ring();
                }
                open.outcome.tell(true);
            }
            Err(error) => {
                tracing::warn!(%error, "what several threads have written is undone");
                // With the connection.
                writer.connection = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;
    use crate::model::{Error, Scope};
    use crate::store::Kind;

    fn insert(sql: &Connection, name: &str) -> Failable<()> {
        sql.execute("INSERT INTO sessions (name, owner, owner_uid) VALUES (?, 'me', 7)", [name])?;
        Ok(())
    }

    fn names(store: &Store) -> Vec<String> {
        let mut names = store.session_names(Kind::Job, Scope::ALL).unwrap();
        names.sort();
        names
    }

    /// Have a thread write this and leave the transaction open, then do the rest.
    fn beside(store: &Store, name: &str, then: impl FnOnce()) {
        let (written, wait) = mpsc::channel();
        // Somebody seems to wait.
        store.waiting.fetch_add(1, Ordering::SeqCst);
        thread::scope(|scope| {
            let other = scope.spawn(|| {
                store.write_together(|sql| {
                    let _ = written.send(());
                    insert(sql, name)
                })
            });
            wait.recv().unwrap();
            // It keeps the lock until the transaction waits.
            assert!(store.writer.lock().open.is_some());
            assert!(names(store).is_empty() && !other.is_finished());
            store.waiting.fetch_sub(1, Ordering::SeqCst);
            then();
            other.join().unwrap().unwrap();
        });
    }

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        (dir, store)
    }

    #[test]
    fn the_next_thread_commits_for_both() {
        let (_dir, store) = store();
        beside(&store, "a", || store.write_together(|sql| insert(sql, "b")).unwrap());
        assert_eq!(names(&store), ["a", "b"]);
    }

    #[test]
    fn one_that_writes_alone_commits_for_the_other() {
        let (_dir, store) = store();
        beside(&store, "a", || store.write(|sql| insert(sql, "b")).unwrap());
        assert_eq!(names(&store), ["a", "b"]);
    }

    #[test]
    fn one_that_is_refused_undoes_its_own_change_and_no_other() {
        let (_dir, store) = store();
        beside(&store, "a", || {
            let refused = store.write_together(|sql| {
                insert(sql, "b")?;
                Err::<(), _>(Error::argument("no").into())
            });
            assert_eq!(refused.unwrap_err().message, "no");
        });
        assert_eq!(names(&store), ["a"]);
    }

    #[test]
    fn one_whose_error_undoes_all_leaves_the_others_another_try() {
        let (_dir, store) = store();
        beside(&store, "a", || {
            let lost = store.write_together(|sql| {
                sql.execute_batch("ROLLBACK")?;
                insert(sql, "")?;
                Err::<(), _>(Error::argument("lost").into())
            });
            assert_eq!(lost.unwrap_err().message, "lost");
        });
        assert!(names(&store).contains(&"a".to_owned()));
    }

    #[test]
    fn a_panic_undoes_its_own_change_and_no_other() {
        let (_dir, store) = store();
        beside(&store, "a", || {
            let panic = std::panic::AssertUnwindSafe(|| {
                store.write_together(|sql| {
                    insert(sql, "b")?;
                    if names(&store).is_empty() { panic!("as if") } else { Ok(()) }
                })
            });
            assert!(std::panic::catch_unwind(panic).is_err());
        });
        assert_eq!(names(&store), ["a"]);
    }

    #[test]
    fn all_of_many_threads_are_stored() {
        let (_dir, store) = store();
        thread::scope(|scope| {
            for thread in 0..8 {
                let store = &store;
                scope.spawn(move || {
                    for change in 0..25 {
                        store.write_together(|sql| insert(sql, &format!("{thread}.{change}"))).unwrap();
                    }
                });
            }
        });
        assert_eq!(names(&store).len(), 200);
        assert!(store.writer.lock().open.is_none());
    }
}
