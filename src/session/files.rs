//! The host's files of a job: their paths, and checks that they exist.
//!
//! They are looked up and opened here, with the rights of the submitter, which are those of the calling
//! thread. The result is kept, so that no later symbolic link can make root use another file.

use std::collections::HashMap;
use std::fmt::Display;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::paths::{self, MOUNTS};
use super::view::View;
use crate::model::extensions::Mount;
use crate::model::{Error, JobTemplate, Result, Text};
use crate::rights;
use crate::store::NewTask;
use crate::tracker::{Origin, Stdio, Submitter, TaskRange};

/// The known [`Found`]s, by attribute and path: the tasks of a job array share most files, and one that
/// is created is created once.
type Known = HashMap<(&'static str, Text), Result<Found>>;

/// A file of the host.
#[derive(Clone)]
struct Found {
    /// Its real path.
    path: Text,
    device: u64,
    inode: u64,
}

/// The files of the tasks of a job array.
pub(super) enum TaskFiles {
    /// All tasks have these.
    OfAll(Stdio),
    /// Each has its own, or has failed for them.
    OfEach(Vec<NewTask>),
}

/// The host paths of a job, placeholders filled in, and what its mounts are.
pub(super) fn expand_paths(template: &JobTemplate, submitter: &Submitter) -> Result<Stdio> {
    let mut stdio = paths::of(template, &paths::home(submitter.uid)?)?;
    let extensions = template.extensions()?;
    if !extensions.mounts.is_empty() {
        stdio.origins = rights::of(submitter, || mounts(&extensions.mounts))?;
    }
    Ok(stdio)
}

/// The mounts of the container, in this order; INVALID_ARGUMENT for a file that the submitter has no
/// right to.
fn mounts(mounts: &[Mount]) -> Result<Vec<Origin>> {
    let mut origins = Vec::new();
    for Mount { source, read_only, .. } in mounts {
        let source = Text::from(source.as_str());
        let error = |cause: io::Error| Error::argument(format!("{MOUNTS} {source}: {cause}"));
        let found = fs::metadata(source.as_path()).map_err(error)?;
        let real = real_path(&source, &found).map_err(error)?;
        if real.as_path().to_str().is_none() {
            return Err(error(io::Error::other("its real path is not UTF-8")));
        }
        let write = if *read_only { 0 } else { libc::W_OK };
        let enter = if found.is_dir() { libc::X_OK } else { 0 };
        rights::may(real.as_path(), libc::R_OK | write | enter).map_err(error)?;
        origins.push(origin(MOUNTS, &Found::new(real, &found)));
    }
    Ok(origins)
}

/// Open a job's files with the rights of its submitter: input must be readable, output is created and emptied, and the
/// directories to stage out to must be writable. Returns their real paths, or the reason why the job fails;
/// DENIED_BY_DRMS if the rights cannot be had, INVALID_ARGUMENT if they are others than those of this view.
pub(super) fn make_files(stdio: &Stdio, submitter: &Submitter, view: &View) -> Result<Result<Stdio>> {
    // A thread for nothing takes longer than the rest of a submission.
    if !stdio.has_files() && view.is_empty() {
        return Ok(Ok(stdio.clone()));
    }
    rights::of(submitter, || {
        view.check()?;
        Ok(make(stdio, &mut Known::new()))
    })
}

/// The same for the tasks of a job array.
pub(super) fn make_task_files(
    stdio: &Stdio,
    range: TaskRange,
    submitter: &Submitter,
    view: &View,
) -> Result<TaskFiles> {
    if !stdio.has_files() && view.is_empty() {
        return Ok(TaskFiles::OfAll(stdio.clone()));
    }
    rights::of(submitter, || {
        view.check()?;
        Ok(make_all(stdio, range))
    })
}

fn make_all(stdio: &Stdio, range: TaskRange) -> TaskFiles {
    let mut known = Known::new();
    // Without an index in their paths, all tasks have the same files.
    if stdio.of_task(range.first) == *stdio
        && let Ok(made) = make(stdio, &mut known)
    {
        return TaskFiles::OfAll(made);
    }
    let task = |index| match make(&stdio.of_task(index), &mut known) {
        Ok(made) => NewTask { index, stdio: (made != *stdio).then_some(made), failure: None },
        Err(Error { message, .. }) => NewTask { index, stdio: None, failure: Some(message) },
    };
    TaskFiles::OfEach(range.indices().map(task).collect())
}

fn make(stdio: &Stdio, known: &mut Known) -> Result<Stdio> {
    let mut made = stdio.clone();
    let mut make = |attribute: &'static str, path: &mut Text| {
        let key = (attribute, path.clone());
        let found = known.entry(key).or_insert_with(|| find(attribute, path)).clone()?;
        made.origins.push(origin(attribute, &found));
        *path = found.path;
        Ok::<_, Error>(())
    };
    let streams = [
        ("inputPath", made.input.as_mut()),
        ("outputPath", made.output.as_mut()),
        ("errorPath", made.error.as_mut()),
    ];
    for (attribute, path) in streams {
        path.map_or(Ok(()), |path| make(attribute, path))?;
    }
    for transfer in &mut made.stage_in {
        make("stageInFiles", &mut transfer.source)?;
    }
    for transfer in &mut made.stage_out {
        let destination = transfer.destination.as_path();
        let parent = destination.parent().unwrap_or(Path::new("/"));
        let mut directory = Text::from(parent);
        make("stageOutFiles", &mut directory)?;
        let name = destination.file_name().unwrap_or_default();
        transfer.destination = Text::from(directory.as_path().join(name).as_path());
    }
    Ok(made)
}

fn origin(attribute: &str, found: &Found) -> Origin {
    let Found { path, device, inode } = found.clone();
    Origin { attribute: attribute.to_owned(), path, device, inode }
}

impl Found {
    fn new(path: Text, metadata: &Metadata) -> Self {
        Self { path, device: metadata.dev(), inode: metadata.ino() }
    }
}

/// Open a file for its attribute.
fn find(attribute: &str, path: &Text) -> Result<Found> {
    let error = |cause: &dyn Display| Error::argument(format!("{attribute} {path}: {cause}"));
    let mut options = OpenOptions::new();
    match attribute {
        "inputPath" | "stageInFiles" | "stageOutFiles" => options.read(true),
        _ => options.write(true).create(true).truncate(false),
    };
    options.custom_flags(match attribute {
        // A directory that is only written to need not be readable.
        "stageOutFiles" => libc::O_PATH,
        // A FIFO or a terminal is refused below, and must not block or be taken over before.
        _ => libc::O_NONBLOCK | libc::O_NOCTTY,
    });
    let file: File = options.open(path.as_path()).map_err(|cause| error(&cause))?;
    let found = file.metadata().map_err(|cause| error(&cause))?;
    let real = real_path(path, &found).map_err(|cause| error(&cause))?;
    match attribute {
        "stageOutFiles" if !found.is_dir() => return Err(error(&"not a directory")),
        "stageOutFiles" => {
            rights::may(real.as_path(), libc::W_OK | libc::X_OK).map_err(|cause| error(&cause))?;
        }
        "stageInFiles" if found.is_dir() => {}
        _ if !found.is_file() => return Err(error(&"not a regular file")),
        _ => {}
    }
    if matches!(attribute, "outputPath" | "errorPath") {
        file.set_len(0).map_err(|cause| error(&cause))?;
    }
    Ok(Found::new(real, &found))
}

/// The real path of the file found at `path`. The links in /proc lead past closed directories, and to
/// deleted or covered files; a real path does not.
fn real_path(path: &Text, found: &Metadata) -> io::Result<Text> {
    let real = fs::canonicalize(path.as_path())?;
    let there = fs::metadata(&real)?;
    if (there.dev(), there.ino()) != (found.dev(), found.ino()) {
        return Err(io::Error::other(format!("another file is at {}", real.display())));
    }
    Ok(Text::from(real.as_path()))
}
