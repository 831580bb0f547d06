//! The host's files of a job.

use serde::{Deserialize, Serialize};

use crate::model::{Text, with_index};

/// Host files of a job: its standard streams, where `None` is `/dev/null`, and the files that it stages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stdio {
    /// Standard input.
    pub input: Option<Text>,
    /// Standard output.
    pub output: Option<Text>,
    /// Standard error; unused with `join`.
    pub error: Option<Text>,
    /// Standard error goes to standard output's file.
    pub join: bool,
    /// From the host into the container, before the job starts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stage_in: Vec<Transfer>,
    /// From the container to the host, when the job has ended.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stage_out: Vec<Transfer>,
    /// The files found at the paths of the host when the job was submitted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<Origin>,
}

/// A file or directory to copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// The source.
    pub source: Text,
    /// The destination.
    pub destination: Text,
}

/// A file of the host that the submitter had a right to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The attribute that names it.
    pub attribute: String,
    /// Its path; to stage out, that of the directory.
    pub path: Text,
    /// The number of its file system.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
}

impl Stdio {
    /// The files of a task of a job array.
    #[must_use]
    pub fn of_task(&self, index: i64) -> Self {
        let path = |path: &Option<Text>| path.as_ref().map(|path| with_index(path, index));
        let transfer = |transfer: &Transfer| Transfer {
            source: with_index(&transfer.source, index),
            destination: with_index(&transfer.destination, index),
        };
        Self {
            input: path(&self.input),
            output: path(&self.output),
            error: path(&self.error),
            join: self.join,
            stage_in: self.stage_in.iter().map(transfer).collect(),
            stage_out: self.stage_out.iter().map(transfer).collect(),
            origins: self.origins.clone(),
        }
    }
}
