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

use nix::unistd::Uid;

use super::submitter::user;
use crate::model::extensions::{Mount, PREFIX};
use crate::model::{Error, JobTemplate, Result, Text};
use crate::rights;
use crate::store::NewTask;
use crate::tracker::{Origin, Stdio, Submitter, TaskRange, Transfer};

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

/// The host paths of a job, placeholders filled in.
pub(super) fn expand_paths(template: &JobTemplate, submitter: &Submitter) -> Result<Stdio> {
    let mut stdio = Stdio { join: template.join_files, ..Stdio::default() };
    let home = home(submitter)?;
    for (attribute, path) in template.stdio_paths() {
        let path = template.expand_path(attribute, path, &home)?;
        let path = (path != Text::from("/dev/null")).then_some(path);
        match attribute {
            "inputPath" => stdio.input = path,
            "outputPath" => stdio.output = path,
            _ => stdio.error = path,
        }
    }
    for (source, destination) in template.stage_in_files.iter().flatten() {
        let source = template.expand_path("stageInFiles", source, &home)?;
        stdio.stage_in.push(Transfer { source, destination: destination.clone() });
    }
    for (source, destination) in template.stage_out_files.iter().flatten() {
        let destination = template.expand_path("stageOutFiles", destination, &home)?;
        stdio.stage_out.push(Transfer { source: source.clone(), destination });
    }
    let extensions = template.extensions()?;
    stdio.origins = rights::of(submitter, || mounts(&extensions.mounts))?;
    Ok(stdio)
}

/// The home directory of a user.
pub(super) fn home(submitter: &Submitter) -> Result<Text> {
    let dir = user(Uid::from_raw(submitter.uid))?.map_or_else(|| "/".into(), |user| user.dir);
    Ok(Text::from(dir.as_path()))
}

/// The mounts of the container, in this order; INVALID_ARGUMENT for a file that the submitter has no
/// right to.
fn mounts(mounts: &[Mount]) -> Result<Vec<Origin>> {
    let attribute = format!("{PREFIX}mounts");
    let mut origins = Vec::new();
    for Mount { source, read_only, .. } in mounts {
        let source = Text::from(source.as_str());
        let error = |cause: io::Error| Error::argument(format!("{attribute} {source}: {cause}"));
        let found = fs::metadata(source.as_path()).map_err(error)?;
        let real = real_path(&source, &found).map_err(error)?;
        if real.as_path().to_str().is_none() {
            return Err(error(io::Error::other("its real path is not UTF-8")));
        }
        let write = if *read_only { 0 } else { libc::W_OK };
        let enter = if found.is_dir() { libc::X_OK } else { 0 };
        rights::may(real.as_path(), libc::R_OK | write | enter).map_err(error)?;
        origins.push(origin(&attribute, &Found::new(real, &found)));
    }
    Ok(origins)
}

/// Open a job's files: input must be readable, output is created and emptied, and the directories to
/// stage out to must be writable. Returns their real paths.
pub(super) fn make_files(stdio: &Stdio) -> Result<Stdio> {
    make(stdio, &mut Known::new())
}

/// The same for the tasks of a job array.
pub(super) fn make_task_files(stdio: &Stdio, range: TaskRange) -> TaskFiles {
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
