//! The end of a job, as the record of its init tells it.

use drmaa2_init::Record;

use crate::model::{Outcome, Usage};

/// The end that a record tells.
pub fn of_record(record: Record) -> Outcome {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Outcome {
        exit_status: record
            .signal
            .map(|signal| 128 + signal)
            .or(record.exit_code)
            .filter(|_| !record.untried),
        signal: record.signal,
        reason: record.reason.map(text),
        remark: record.remark.map(text),
        started: Some(record.started),
        finished: record.finished,
        // A machine that goes down ends a job in order; still, it was not the job's own end.
        lost: record.interrupted,
        usage: Usage {
            cpu_time: Some(record.cpu_time),
            max_rss: Some(record.max_rss),
            oom_killed: record.oom_killed,
            peak_memory: record.peak_memory,
            start_memory: record.start_memory,
            read_bytes: record.read_bytes,
            written_bytes: record.written_bytes,
        },
        ..Outcome::default()
    }
}
