//! The record of a job's end, a file in its directory.

use std::io;
use std::path::Path;

use crate::RECORD_FILE;
use crate::codec::{self, Entries, Writer};

/// Bytes reserved for the record; a longer one needs free space when it is written.
const RECORD_ROOM: usize = 8192;
/// The largest record, bytes.
const RECORD_LIMIT: u64 = 1 << 20;

/// The end of the job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// The command's exit code; 127 or 126 if it could not be run, as in a shell. `None` if it was not
    /// tried.
    pub exit_code: Option<i32>,
    /// The signal that ended the command, or would have if it had been tried.
    pub signal: Option<i32>,
    /// The command was not tried, so it has no exit status.
    pub untried: bool,
    /// The reason, if there is more to say than the code or the signal does.
    pub reason: Option<Vec<u8>>,
    /// A remark for people; it does not make the job a failure.
    pub remark: Option<Vec<u8>>,
    /// The job was ended by a signal that nobody asked for. Most often the machine went down, so this
    /// tells nothing about the command.
    pub interrupted: bool,
    /// Start of the command, milliseconds since the epoch.
    pub started: i64,
    /// Its end, likewise.
    pub finished: i64,
    /// User and system time of the command and all its descendants, milliseconds.
    pub cpu_time: i64,
    /// Largest resident set of any of them, kilobytes.
    pub max_rss: i64,
    /// The kernel killed one of them because memory ran out.
    pub oom_killed: bool,
    /// The most memory that all of them had together, page cache included, bytes; if the control group
    /// reports it.
    pub peak_memory: Option<i64>,
    /// The part of it that the runtime reached before the command was started.
    pub start_memory: Option<i64>,
    /// Bytes that they read from block devices; if the control group reports it.
    pub read_bytes: Option<i64>,
    /// Bytes that they wrote to block devices; if the control group reports it.
    pub written_bytes: Option<i64>,
}

impl Record {
    /// Reserve disk space for a record in the job's directory: it must be written even if the disk is
    /// full, which the job itself may cause.
    pub fn reserve(job_dir: &Path) -> io::Result<()> {
        codec::reserve(job_dir, RECORD_FILE, RECORD_ROOM)
    }

    /// Store the record in the job's directory: whole or not at all, and on stable storage.
    pub fn write(&self, job_dir: &Path) -> io::Result<()> {
        let mut out = Writer::default();
        out.option("exit-code", self.exit_code);
        out.option("signal", self.signal);
        if let Some(reason) = &self.reason {
            out.bytes("reason", reason);
        }
        if let Some(remark) = &self.remark {
            out.bytes("remark", remark);
        }
        out.flag("untried", self.untried);
        out.flag("interrupted", self.interrupted);
        out.number("started", self.started);
        out.number("finished", self.finished);
        out.number("cpu-time", self.cpu_time);
        out.number("max-rss", self.max_rss);
        out.flag("oom-killed", self.oom_killed);
        out.option("peak-memory", self.peak_memory);
        out.option("start-memory", self.start_memory);
        out.option("read-bytes", self.read_bytes);
        out.option("written-bytes", self.written_bytes);
        out.write(job_dir, RECORD_FILE)
    }

    /// Read the record from the job's directory; `NotFound` if the job has not written one.
    pub fn read(job_dir: &Path) -> io::Result<Self> {
        let mut record = Self::default();
        for (key, value) in Entries::read(job_dir, RECORD_FILE, RECORD_LIMIT)?.iter() {
            match key {
                "exit-code" => record.exit_code = Some(codec::number(value)?),
                "signal" => record.signal = Some(codec::number(value)?),
                "reason" => record.reason = Some(value.to_vec()),
                "remark" => record.remark = Some(value.to_vec()),
                "untried" => record.untried = true,
                "interrupted" => record.interrupted = true,
                "started" => record.started = codec::number(value)?,
                "finished" => record.finished = codec::number(value)?,
                "cpu-time" => record.cpu_time = codec::number(value)?,
                "max-rss" => record.max_rss = codec::number(value)?,
                "oom-killed" => record.oom_killed = true,
                "peak-memory" => record.peak_memory = Some(codec::number(value)?),
                "start-memory" => record.start_memory = Some(codec::number(value)?),
                "read-bytes" => record.read_bytes = Some(codec::number(value)?),
                "written-bytes" => record.written_bytes = Some(codec::number(value)?),
                _ => {}
            }
        }
        Ok(record)
    }
}
