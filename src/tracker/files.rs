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
    /// Returns whether there is any file.
    pub fn has_files(&self) -> bool {
        [&self.input, &self.output, &self.error].into_iter().any(Option::is_some)
            || !self.stage_in.is_empty()
            || !self.stage_out.is_empty()
    }

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

    /// The files of all tasks of a job array, with the real paths of those that a task of it has found, as far as they
    /// are not its own alone.
    #[must_use]
    pub fn shared(&self, found: &Self) -> Self {
        let has_index = |path: &Text| with_index(path, 0) != *path;
        let path = |path: &Option<Text>, found: &Option<Text>| match path {
            Some(path) if !has_index(path) => found.clone(),
            path => path.clone(),
        };
        let transfers = |all: &[Transfer], found: &[Transfer]| {
            let pairs = all.iter().zip(found);
            let shared = pairs.map(|(one, found)| {
                if has_index(&one.source) || has_index(&one.destination) { one } else { found }
            });
            shared.cloned().collect()
        };
        Self {
            input: path(&self.input, &found.input),
            output: path(&self.output, &found.output),
            error: path(&self.error, &found.error),
            join: self.join,
            stage_in: transfers(&self.stage_in, &found.stage_in),
            stage_out: transfers(&self.stage_out, &found.stage_out),
            origins: self.origins.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_all_tasks_share_has_its_real_path() {
        let transfer = |source: &str, destination: &str| Transfer {
            source: source.into(),
            destination: destination.into(),
        };
        let all = Stdio {
            input: Some("/proc/self/fd/3".into()),
            output: Some("/out/$DRMAA2_INDEX$".into()),
            stage_in: vec![transfer("/link", "x"), transfer("/link", "$DRMAA2_INDEX$")],
            ..Stdio::default()
        };
        let found = Stdio {
            input: Some("/real/input".into()),
            output: Some("/real/out/1".into()),
            stage_in: vec![transfer("/real", "x"), transfer("/real", "1")],
            ..Stdio::default()
        };
        let shared = all.shared(&found);
        assert_eq!(shared.input, Some("/real/input".into()));
        assert_eq!(shared.output, all.output);
        assert_eq!(shared.stage_in, [transfer("/real", "x"), transfer("/link", "$DRMAA2_INDEX$")]);
        assert_eq!(shared.of_task(7).output, Some("/out/7".into()));
    }
}
