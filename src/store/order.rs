//! The data to start jobs.

use rusqlite::Connection;

use super::query::parsed;
use super::{Failable, Store};
use crate::model::{JobTemplate, Millis, Result};
use crate::tracker::{End, NewArray, NewJob, Settings, Stdio, Task, TaskRange};

/// The data of a row to start a job, or the tasks of an array.
struct Order {
    job: NewJob,
    /// The files of its submission.
    files_of_all: Stdio,
    /// The indices of the array, if it is known that it is one.
    range: Option<TaskRange>,
    max_parallel: Option<i64>,
}

/// The tables, and the condition, for a job.
const BY_JOB: (&str, &str) = ("jobs j JOIN submissions b ON b.number = j.submission", "j.id = ?");
/// The same for an array, whose tasks may have no rows. No number is NULL: SQLite finds none of the jobs by that, and would
/// read all of them for a condition that names no column.
const BY_ARRAY: (&str, &str) = ("submissions b LEFT JOIN jobs j ON j.number = NULL", "b.id = ?");

impl Store {
    /// The data to start a job; `None` if there is no such job.
    pub fn order(&self, id: &str) -> Result<Option<NewJob>> {
        Ok(self.read(|sql| order(sql, BY_JOB, id))?.map(|order| order.job))
    }

    /// The data to start these tasks of an array, which have these ids; `None` if there is no such job, or it is no
    /// task.
    pub fn array_order(&self, ids: &[String]) -> Result<Option<NewArray>> {
        let Some(first) = ids.first() else { return Ok(None) };
        let order = self.read(|sql| order(sql, BY_JOB, first))?;
        let Some(Order { mut job, files_of_all, range: Some(range), max_parallel }) = order else {
            return Ok(None);
        };
        let Some(Task { array, .. }) = job.task.take() else { return Ok(None) };
        let index = |id: &String| id.strip_prefix(&array)?.strip_prefix('.')?.parse().ok();
        let Some(indices) = ids.iter().map(index).collect() else { return Ok(None) };
        job.stdio = files_of_all.shared(&job.stdio);
        job.id = array;
        Ok(Some(NewArray { common: job, range, max_parallel, indices }))
    }

    /// The data to start all tasks of an array that differ in their index alone; `None` if there is no such array.
    pub fn whole_array_order(&self, id: &str) -> Result<Option<NewArray>> {
        // Nothing is done before, so that they get no rows by this.
        let order = self.look(|sql| order(sql, BY_ARRAY, id))?;
        Ok(order.and_then(|Order { job: common, range, max_parallel, .. }| {
            let range = range?;
            Some(NewArray { common, range, max_parallel, indices: range.indices().collect() })
        }))
    }
}

fn query(tables: &str, condition: &str) -> String {
    format!(
        "SELECT s.name, b.template, b.submitter, j.stdio, b.stdio, b.id, j.task, b.wall_clock, r.ends, b.deadline,
             CASE WHEN p.slots IS NOT NULL OR p.queue_slots IS NOT NULL
                 THEN coalesce(j.slots, b.min_slots) END,
             b.settings, b.first_task, b.last_task, b.task_step, b.max_parallel, j.state IN (2, 6)
         FROM {tables}
         JOIN pools p ON p.id = b.pool
         JOIN sessions s ON s.id = b.session
         LEFT JOIN reservations r ON r.number = b.reservation
         WHERE {condition}"
    )
}

fn order(sql: &Connection, (tables, condition): (&str, &str), id: &str) -> Failable<Option<Order>> {
    let mut query = sql.prepare_cached(&query(tables, condition))?;
    let mut rows = query.query([id])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let array: String = row.get(5)?;
    let range = match (row.get(12)?, row.get(13)?, row.get(14)?) {
        (Some(first), Some(last), Some(step)) => TaskRange::checked(first, last, step),
        // A job, or an array of an earlier version.
        _ => None,
    };
    let max_parallel = row.get(15)?;
    let files_of_all: Stdio = parsed(&row.get::<_, String>(4)?)?;
    let task = row.get::<_, Option<i64>>(6)?;
    let stdio = match (row.get::<_, Option<String>>(3)?, task) {
        (Some(own), _) => parsed(&own)?,
        (None, Some(index)) => files_of_all.of_task(index),
        (None, None) => files_of_all.clone(),
    };
    let template: JobTemplate = parsed(&row.get::<_, String>(1)?)?;
    let job = NewJob {
        id: id.to_owned(),
        session: row.get(0)?,
        submitter: parsed(&row.get::<_, String>(2)?)?,
        stdio,
        task: task.map(|index| Task { array, index, range, max_parallel }),
        held: row.get::<_, Option<bool>>(16)?.unwrap_or(template.submit_as_hold),
        template,
        wall_clock: row.get(7)?,
        ends: end(row.get(8)?, row.get(9)?),
        slots: row.get(10)?,
        settings: Settings::stored(row.get(11)?),
    };
    Ok(Some(Order { job, files_of_all, range, max_parallel }))
}

/// The time at which a job is ended: the end of its reservation, or its deadline.
fn end(reservation: Option<Millis>, deadline: Option<Millis>) -> Option<End> {
    let reservation = reservation.map(|at| (at, "its reservation is over"));
    let deadline = deadline.map(|at| (at, "its deadline has come"));
    let (at, reason) = reservation.into_iter().chain(deadline).min()?;
    Some(End { at, reason: reason.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::super::jobs_tests::store;
    use super::*;

    #[test]
    fn no_question_about_one_job_or_array_reads_all_of_them() {
        let (_dir, store, _session) = store();
        for (tables, condition) in [BY_JOB, BY_ARRAY] {
            let query = format!("EXPLAIN QUERY PLAN {}", query(tables, condition));
            let plan: Vec<String> = store
                .read(|sql| {
                    let mut query = sql.prepare(&query)?;
                    Ok(query
                        .query_map(["x"], |row| row.get("detail"))?
                        .collect::<rusqlite::Result<_>>()?)
                })
                .unwrap();
            assert!(!plan.is_empty() && plan.iter().all(|step| step.starts_with("SEARCH ")), "{plan:?}");
        }
    }
}
