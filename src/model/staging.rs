//! The files that a job template stages, and the validity of their paths.

use std::path::Component;

use super::template::{Submission, check_rest};
use super::{Error, JobTemplate, Placeholder, Result, Text};

impl JobTemplate {
    /// INVALID_ARGUMENT for an invalid path to stage, independent of the content of the disk.
    pub(super) fn check_staging(&self, submission: Submission) -> Result<()> {
        for (source, destination) in self.stage_in_files.iter().flatten() {
            check_host("stageInFiles", source, submission)?;
            check_container("stageInFiles", destination, submission)?;
        }
        for (source, destination) in self.stage_out_files.iter().flatten() {
            check_container("stageOutFiles", source, submission)?;
            check_host("stageOutFiles", destination, submission)?;
            names_something("stageOutFiles", destination)?;
        }
        Ok(())
    }
}

/// The rest of the path after a placeholder at its start.
fn after_placeholder(path: &Text) -> Option<Text> {
    [Placeholder::HomeDir, Placeholder::WorkingDir]
        .into_iter()
        .find_map(|placeholder| path.strip_prefix(placeholder.text()))
}

fn check_host(attribute: &str, path: &Text, submission: Submission) -> Result<()> {
    check_rest(attribute, path, after_placeholder(path), submission)
}

/// A relative path starts at the working directory.
fn check_container(attribute: &str, path: &Text, submission: Submission) -> Result<()> {
    let rest = after_placeholder(path);
    let relative = rest.is_none() && !path.as_bytes().starts_with(b"/");
    let whole = if relative { Text::from([b"/", path.as_bytes()].concat()) } else { path.clone() };
    check_rest(attribute, &whole, rest, submission)?;
    let mut parts = path.as_path().components().filter(|part| *part != Component::RootDir);
    if path.as_bytes().starts_with(b"/") && parts.next() == Some(Component::Normal(".drmaa2".as_ref())) {
        return Err(Error::argument(format!("{attribute} \"{path}\" is a place of the library's own")));
    }
    names_something(attribute, path)
}

/// The last part of a path is the name of the file or directory.
fn names_something(attribute: &str, path: &Text) -> Result<()> {
    let placeholder = after_placeholder(path).is_some_and(|rest| rest.as_path().file_name().is_none());
    match path.as_path().components().next_back() {
        Some(Component::Normal(_)) if !placeholder => Ok(()),
        _ => Err(Error::argument(format!("{attribute} \"{path}\" names no file"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ErrorCode;

    fn allowed(template: JobTemplate, submission: Submission) -> bool {
        let checked = template.check(&["stageInFiles", "stageOutFiles"], submission);
        checked.map_err(|error| assert_eq!(error.code, ErrorCode::InvalidArgument, "{error}")).is_ok()
    }

    /// Host and container path, in both directions.
    fn both_ways(host: &str, container: &str, submission: Submission) -> [bool; 2] {
        let (host, container) = (Text::from(host), Text::from(container));
        let stage_in = Some(vec![(host.clone(), container.clone())]);
        let stage_out = Some(vec![(container, host)]);
        [
            allowed(JobTemplate { stage_in_files: stage_in, ..JobTemplate::default() }, submission),
            allowed(JobTemplate { stage_out_files: stage_out, ..JobTemplate::default() }, submission),
        ]
    }

    #[test]
    fn the_container_side_may_start_at_the_working_directory() {
        for container in ["/a", "a", "a/b", "../a", "$DRMAA2_HOME_DIR$/a", "$DRMAA2_WORKING_DIR$/a"] {
            assert_eq!(both_ways("/h", container, Submission::Single), [true; 2], "{container}");
        }
        let bad = ["", "/", "a/..", ".", "/.drmaa2/x", "//.drmaa2/x", "/.drmaa2", "$DRMAA2_HOME_DIR$"];
        for container in bad.into_iter().chain(["$DRMAA2_HOME_DIR$a", "a/$DRMAA2_HOME_DIR$"]) {
            assert_eq!(both_ways("/h", container, Submission::Single), [false; 2], "{container}");
        }
    }

    #[test]
    fn the_host_side_is_absolute() {
        for host in ["/a", "$DRMAA2_HOME_DIR$/a"] {
            assert_eq!(both_ways(host, "c", Submission::Single), [true; 2], "{host}");
        }
        for host in ["", "a", "host:/a"] {
            assert_eq!(both_ways(host, "c", Submission::Single), [false; 2], "{host}");
        }
        assert_eq!(both_ways("/a/..", "c", Submission::Single), [true, false]);
    }

    #[test]
    fn the_index_is_for_job_arrays() {
        for (host, container) in [("/a.$DRMAA2_INDEX$", "c"), ("/a", "c.$DRMAA2_INDEX$")] {
            assert_eq!(both_ways(host, container, Submission::Array), [true; 2]);
            assert_eq!(both_ways(host, container, Submission::Single), [false; 2]);
        }
    }
}
