//! The note of a submission that Slurm has accepted.

use std::fs;
use std::path::Path;

use super::failure::of_file;
use crate::model::Result;

/// A file with the number that Slurm has given to the job, the start of its controller, and the session, a line each. The
/// one of an array has a line for each of its parts.
pub(super) const SUBMITTED_FILE: &str = "submitted";

/// The submission of a job to Slurm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Submitted {
    /// Its number.
    pub(super) number: String,
    /// The start of the controller that has accepted it, see `noted` in `controller.rs`.
    pub(super) controller: String,
    /// Its session.
    pub(super) session: String,
}

impl Submitted {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut lines = text.splitn(3, '\n').map(str::to_owned);
        Some(Self { number: lines.next()?, controller: lines.next()?, session: lines.next()? })
    }

    /// Returns whether the controller that was started then has accepted it for certain: a later one may have forgotten it.
    pub(super) fn is_known_to(&self, start: &str) -> bool {
        !start.is_empty() && self.controller == start
    }
}

/// Note that Slurm has accepted a job.
pub(super) fn note_submitted(dir: &Path, number: &str, controller: &str, session: &str) -> Result<()> {
    let file = dir.join(SUBMITTED_FILE);
    fs::write(&file, format!("{number}\n{controller}\n{session}"))
        .map_err(|error| of_file(&file, &error))
}
