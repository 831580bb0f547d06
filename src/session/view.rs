//! The directories that a client sees where the files of its job are: the broker opens them with the rights of the same user, but a process
//! whose mounts or root directory are its own would mean others.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::behalf::Behalf;
use super::paths::{self, MOUNTS};
use crate::model::{Error, JobTemplate, Placeholder, Result, Text};

/// The directories in which a job's files are, as a client sees them, in the order of their paths. A directory that a job
/// names is there itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct View(Vec<Sight>);

/// A path, and the directory that a client sees there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Sight {
    path: Text,
    /// The first attribute that names it, or something in it.
    attribute: String,
    /// Its device and inode; `None` if there is nothing.
    found: Option<(u64, u64)>,
}

impl View {
    /// The view of this process; an empty one of a template that is refused anyway.
    pub(super) fn of(template: &JobTemplate, behalf: &Behalf) -> Self {
        let mut view = Self::default();
        // A template without files takes no look at the user's account.
        if names_files(template) {
            let _ = view.look(template, behalf);
        }
        view
    }

    fn look(&mut self, template: &JobTemplate, behalf: &Behalf) -> Result<()> {
        let stdio = paths::of(template, &paths::home(behalf.uid())?)?;
        let streams =
            [("inputPath", &stdio.input), ("outputPath", &stdio.output), ("errorPath", &stdio.error)];
        for (attribute, path) in streams {
            path.iter().for_each(|path| self.add(attribute, path));
        }
        stdio.stage_in.iter().for_each(|transfer| self.add("stageInFiles", &transfer.source));
        stdio.stage_out.iter().for_each(|transfer| self.add("stageOutFiles", &transfer.destination));
        for mount in &template.extensions()?.mounts {
            self.add(MOUNTS, &Text::from(mount.source.as_str()));
        }
        Ok(())
    }

    fn add(&mut self, attribute: &str, path: &Text) {
        // The tasks of an array have what comes before their index in common.
        let index = Placeholder::Index.text().as_bytes();
        let bytes = path.as_bytes();
        let common = bytes.windows(index.len()).position(|part| part == index);
        let common = Text::from(&bytes[..common.unwrap_or(bytes.len())]);
        let is_dir = common == *path && common.as_path().is_dir();
        let slash = common.as_bytes().iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        let dir = if is_dir { common } else { Text::from(&common.as_bytes()[..slash]) };
        let dir = if dir.is_empty() { Text::from("/") } else { dir };
        if let Err(place) = self.0.binary_search_by(|sight| sight.path.cmp(&dir))
            && let Some(found) = identity(dir.as_path())
        {
            self.0.insert(place, Sight { path: dir, attribute: attribute.to_owned(), found });
        }
    }

    /// Returns whether there is nothing to check.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// INVALID_ARGUMENT if this thread sees something else.
    pub(super) fn check(&self) -> Result<()> {
        for Sight { path, attribute, found: theirs } in &self.0 {
            let differs = match (theirs, identity(path.as_path())) {
                // A directory that may not be looked at is an error where a file in it is opened.
                (_, None) => continue,
                (theirs, Some(mine)) if *theirs == mine => continue,
                (None, _) => "is a directory for the broker, and is none for this process",
                (_, Some(None)) => "is a directory for this process, and is none for the broker",
                _ => "is another directory for the broker than for this process",
            };
            let text = format!("{attribute}: {path} {differs}: their mounts or root directories differ");
            return Err(Error::argument(text));
        }
        Ok(())
    }
}

fn names_files(template: &JobTemplate) -> bool {
    let staged = [&template.stage_in_files, &template.stage_out_files];
    !template.stdio_paths().is_empty()
        || staged.into_iter().flatten().any(|files| !files.is_empty())
        || template.extensions.contains_key(MOUNTS)
}

/// The device and inode at a path, `Some(None)` if there is nothing, `None` if that cannot be told.
fn identity(path: &Path) -> Option<Option<(u64, u64)>> {
    let of = |found: Metadata| Some((found.dev(), found.ino()));
    match fs::metadata(path) {
        Ok(found) => Some(of(found)),
        Err(error) => {
            let is_nothing =
                matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
            is_nothing.then_some(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(output: &Path) -> JobTemplate {
        JobTemplate { output_path: Some(Text::from(output)), ..JobTemplate::default() }
    }

    fn paths(view: &View) -> Vec<&Path> {
        view.0.iter().map(|sight| sight.path.as_path()).collect()
    }

    #[test]
    fn a_directory_is_told_by_what_it_is() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("dir");
        fs::create_dir(&dir).unwrap();
        let view = View::of(&template(&dir.join("out")), &Behalf::Himself);
        assert_eq!(view.0.len(), 1);
        view.check().unwrap();
        fs::rename(&dir, scratch.path().join("moved")).unwrap();
        let error = view.check().unwrap_err().message;
        assert!(error.contains("outputPath") && error.contains("none for the broker"), "{error}");
        fs::create_dir(&dir).unwrap();
        assert!(view.check().unwrap_err().message.contains("another directory"));
    }

    #[test]
    fn nothing_is_something_that_can_be_seen() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("dir");
        let view = View::of(&template(&dir.join("out")), &Behalf::Himself);
        view.check().unwrap();
        fs::create_dir(&dir).unwrap();
        assert!(view.check().unwrap_err().message.contains("is none for this process"));
    }

    #[test]
    fn the_tasks_of_an_array_are_seen_once() {
        let scratch = tempfile::tempdir().unwrap();
        let index = Placeholder::Index.text();
        for name in [format!("{index}.out"), format!("task-{index}/out"), format!("{index}/{index}")] {
            let view = View::of(&template(&scratch.path().join(name)), &Behalf::Himself);
            assert_eq!(paths(&view), [scratch.path()]);
        }
        assert!(View::of(&JobTemplate::default(), &Behalf::Himself).is_empty());
    }

    #[test]
    fn a_directory_that_a_job_names_is_seen_itself() {
        let scratch = tempfile::tempdir().unwrap();
        let mut template = template(Path::new("/out"));
        template.stage_in_files = Some(vec![(Text::from(scratch.path()), Text::from("/in"))]);
        let view = View::of(&template, &Behalf::Himself);
        assert_eq!(paths(&view), [Path::new("/"), scratch.path()]);
    }
}
