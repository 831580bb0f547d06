//! Arrays in one row. What a runtime with a queue of its own takes at once is stored at once: as long as the tasks of an
//! array have nothing of their own, they have no rows. The next transaction of any process makes them, before it looks
//! at anything or changes anything, so that nothing else knows of this.

use std::borrow::Cow;
use std::collections::HashSet;

use rusqlite::{Connection, Row, params};

use super::rows::{readable, state};
use super::transaction::{Failable, transact};
use crate::model::JobState;
use crate::sync::Mutex;
use crate::tracker::TaskRange;

/// The ids of arrays that this process hands over at present. Its own transactions leave them in one row: nobody asks for
/// their tasks here before the call that submits them has returned.
pub(super) type HandedOver = Mutex<HashSet<String>>;

/// An array whose tasks have no rows.
pub(super) struct Folded<'a> {
    /// The row of the array, and its id.
    pub(super) number: i64,
    pub(super) id: Cow<'a, str>,
    pub(super) range: TaskRange,
    pub(super) state: JobState,
    /// See life.rs.
    pub(super) phase: i64,
    pub(super) claim: Option<String>,
    pub(super) progress: Option<String>,
    pub(super) leftovers: bool,
}

/// Make the rows of all tasks of an array.
pub(super) fn make_rows(sql: &Connection, array: &Folded<'_>) -> rusqlite::Result<()> {
    // The sum of an index and the step may be no integer any more. A task that is there already, in a damaged file, keeps
    // none of the others.
    let mut insert = sql.prepare_cached(
        "WITH RECURSIVE task (i) AS (SELECT ?3 UNION ALL SELECT i + ?5 FROM task WHERE i <= ?4 - ?5)
         INSERT OR IGNORE INTO jobs (id, submission, task, state, phase, claim, progress, leftovers)
         SELECT ?2 || '.' || i, ?1, i, ?6, ?7, ?8, ?9, ?10 FROM task",
    )?;
    let TaskRange { first, last, step } = array.range;
    insert.execute(params![
        array.number,
        array.id,
        first,
        last,
        step,
        array.state as i32,
        array.phase,
        array.claim,
        array.progress,
        array.leftovers,
    ])?;
    Ok(())
}

/// Returns whether a job is a task of one of these arrays: it is there, although it may have no row.
pub(super) fn is_handed_over(job: &str, handed_over: &HandedOver) -> bool {
    job.rsplit_once('.').is_some_and(|(array, _)| handed_over.lock().contains(array))
}

/// Returns whether there are tasks without rows, beside those of these arrays.
pub(super) fn any(sql: &Connection, handed_over: &HandedOver) -> rusqlite::Result<bool> {
    let mut query = sql.prepare_cached("SELECT id FROM submissions WHERE folded IS NOT NULL")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let id: Option<String> = readable(row.get(0))?;
        if !id.is_some_and(|id| handed_over.lock().contains(&id)) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn folded(row: &Row<'_>) -> rusqlite::Result<Option<Folded<'static>>> {
    let (Some(range), state) =
        (TaskRange::checked(row.get(2)?, row.get(3)?, row.get(4)?), state(row, 5)?)
    else {
        return Ok(None);
    };
    Ok(Some(Folded {
        number: row.get(0)?,
        id: Cow::Owned(row.get(1)?),
        range,
        state,
        phase: 4,
        claim: row.get(6)?,
        progress: row.get(7)?,
        leftovers: true,
    }))
}

/// Make the rows that are missing, but those of these arrays.
pub(super) fn unfold(connection: &mut Connection, handed_over: &HandedOver) -> Failable<()> {
    if !any(connection, handed_over)? {
        return Ok(());
    }
    transact(connection, |sql| {
        let mut arrays = sql.prepare_cached(
            "SELECT number, id, first_task, last_task, task_step, folded, claim, progress
             FROM submissions WHERE folded IS NOT NULL ORDER BY number",
        )?;
        let mut done = sql.prepare_cached(
            "UPDATE submissions SET folded = NULL, claim = NULL, progress = NULL WHERE number = ?",
        )?;
        let mut rows = arrays.query([])?;
        let mut wanted = Vec::new();
        while let Some(row) = rows.next()? {
            // One that cannot be read keeps none of the others.
            let array = readable(folded(row))?.flatten();
            if !array.as_ref().is_some_and(|array| handed_over.lock().contains(&*array.id)) {
                wanted.push((row.get::<_, i64>(0)?, array));
            }
        }
        for (number, array) in wanted {
            array.iter().try_for_each(|array| make_rows(sql, array))?;
            done.execute([number])?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::super::jobs_tests::{array_to_hand_over, store};
    use super::super::{Claim, Kind, Store, Which};
    use super::*;
    use crate::model::{Control, Owner};
    use crate::tracker::Waiting;

    const RANGE: TaskRange = TaskRange { first: i64::MAX - 5, last: i64::MAX - 1, step: 2 };

    fn held() -> Waiting {
        Waiting { held: true, again: false, reason: Some("held".into()) }
    }

    #[test]
    fn an_array_that_was_taken_as_one_is_seen_as_its_tasks() {
        let (_dir, store, session) = store();
        let mine = Claim::mine();
        array_to_hand_over(&store, &session, "a", RANGE, &mine);
        assert!(store.look(|sql| Ok(any(sql, &HandedOver::default())?)).unwrap());
        let order = store.whole_array_order("a").unwrap().unwrap();
        assert_eq!((order.common.id.as_str(), order.range), ("a", RANGE));
        assert_eq!(order.indices, RANGE.indices().collect::<Vec<_>>());
        assert!(store.whole_array_order("b").unwrap().is_none());
        assert!(store.array_waits("a", &held(), &mine).unwrap());
        assert!(store.claimed_jobs(&mine).unwrap().is_empty());
        assert!(!store.look(|sql| Ok(any(sql, &HandedOver::default())?)).unwrap());
        let ids: Vec<_> = store.array_jobs("a").unwrap().into_iter().map(|job| job.info.id).collect();
        let expected: Vec<_> = RANGE.indices().map(|index| format!("a.{index}")).collect();
        assert_eq!(ids, expected);
        assert_eq!(store.job_state(&ids[2]).unwrap(), Some(JobState::QueuedHeld));
        assert!(store.jobs_wait(&[(ids[2].clone(), held())]).unwrap().is_empty(), "it is known");
        assert_eq!(store.array_order(&ids).unwrap().unwrap().indices, order.indices);
        assert!(!store.array_waits("a", &held(), &mine).unwrap());
    }

    #[test]
    fn tasks_that_somebody_has_seen_are_the_work_of_who_hands_them_over() {
        let (_dir, store, session) = store();
        let mine = Claim::mine();
        array_to_hand_over(&store, &session, "a", RANGE, &mine);
        let claimed = store.claimed_jobs(&mine).unwrap();
        assert!(claimed.len() == 3 && claimed.iter().all(|job| job.is_to_be_handed_over()));
        assert!(!store.array_waits("a", &held(), &mine).unwrap());
        let reports: Vec<_> = claimed.into_iter().map(|job| (job.id, held())).collect();
        assert_eq!(store.jobs_wait(&reports).unwrap().len(), 3);
        assert!(store.claimed_jobs(&mine).unwrap().is_empty());
    }

    #[test]
    fn who_hands_an_array_over_leaves_it_in_one_row() {
        let (dir, store, session) = store();
        let mine = Claim::mine();
        store.hands_over("a");
        array_to_hand_over(&store, &session, "a", RANGE, &mine);
        assert!(store.all_jobs().unwrap().is_empty());
        store.create_session(Kind::Job, "t", None, &Owner::for_tests("me", 7), None).unwrap();
        assert!(store.all_jobs().unwrap().is_empty(), "a change has made the rows");
        let task = format!("a.{}", RANGE.first);
        assert!(store.may_have_leftovers(&task).unwrap(), "what the runtime has of it would be removed");
        assert!(store.knows(&task).unwrap());
        assert!(store.array_waits("a", &held(), &mine).unwrap());
        store.shows_tasks("a");
        assert_eq!(store.all_jobs().unwrap().len(), 3);
        // Another process does not know of it.
        for id in ["b", "c"] {
            store.hands_over(id);
            array_to_hand_over(&store, &session, id, RANGE, &mine);
        }
        assert_eq!(Store::open(dir.path()).unwrap().all_jobs().unwrap().len(), 9);
        assert!(!store.array_waits("b", &held(), &mine).unwrap());
        store.hands_over("d");
        array_to_hand_over(&store, &session, "d", RANGE, &mine);
        assert!(store.withdraw("d").unwrap());
        assert_eq!(store.all_jobs().unwrap().len(), 9);
    }

    #[test]
    fn an_array_with_a_damaged_id_keeps_nobody_from_reading() {
        let (_dir, store, session) = store();
        array_to_hand_over(&store, &session, "a", RANGE, &Claim::mine());
        let damage = "UPDATE submissions SET id = x'ff'";
        store.alone(|connection| Ok(connection.execute_batch(damage)?)).unwrap();
        assert!(store.all_jobs().unwrap().is_empty());
        assert!(!store.look(|sql| Ok(any(sql, &HandedOver::default())?)).unwrap());
    }

    #[test]
    fn a_change_finds_the_tasks_that_nobody_has_seen() {
        let (_dir, store, session) = store();
        let mine = Claim::mine();
        array_to_hand_over(&store, &session, "a", RANGE, &mine);
        assert!(store.withdraw("a").unwrap());
        assert!(store.all_jobs().unwrap().is_empty());
        array_to_hand_over(&store, &session, "b", RANGE, &mine);
        let terminating = store.terminate(Which::Array("b"), Control::Kill);
        assert_eq!(terminating.unwrap().found, 3);
    }
}
