//! The files of a job's standard streams: their paths, and that they are there.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;

use nix::unistd::Uid;

use super::submitter::user;
use crate::model::{Error, ErrorCode, JobTemplate, Placeholder, Result, Text, with_index};
use crate::store::NewTask;
use crate::tracker::{Stdio, Submitter};

/// The host paths of a job's streams, placeholders filled in.
pub(super) fn expand_paths(template: &JobTemplate, submitter: &Submitter) -> Result<Stdio> {
    let mut stdio = Stdio { join: template.join_files, ..Stdio::default() };
    for (attribute, path) in template.stdio_paths() {
        let home = home(submitter)?;
        let path = template.expand_path(attribute, path, &home)?;
        let path = (path != Text::from("/dev/null")).then_some(path);
        match attribute {
            "inputPath" => stdio.input = path,
            "outputPath" => stdio.output = path,
            _ => stdio.error = path,
        }
    }
    Ok(stdio)
}

fn home(submitter: &Submitter) -> Result<Text> {
    let dir = user(Uid::from_raw(submitter.uid))?.map_or_else(|| "/".into(), |user| user.dir);
    Ok(Text::from(dir.as_path()))
}

/// Open a job's files as the submitting user: input must be readable, output is made and emptied.
/// Gives their real paths, which no later symbolic link can bend.
pub(super) fn make_files(stdio: &Stdio) -> Result<Stdio> {
    let made = |attribute: &str, path: &Option<Text>| {
        path.as_ref().map(|path| open(attribute, path)).transpose()
    };
    Ok(Stdio {
        input: made("inputPath", &stdio.input)?,
        output: made("outputPath", &stdio.output)?,
        error: made("errorPath", &stdio.error)?,
        join: stdio.join,
    })
}

/// The same for the tasks of a job array. A file that no index tells from those of the other tasks is
/// made once, and all of them use it.
pub(super) fn make_task_files(stdio: &Stdio, indices: impl Iterator<Item = i64>) -> Vec<NewTask> {
    let own =
        |path: &Option<Text>| path.as_ref().is_some_and(|path| path.contains(Placeholder::Index.text()));
    let shared = |path: &Option<Text>| path.clone().filter(|_| !own(path));
    let of_task = |path: &Option<Text>, index| {
        path.as_ref().filter(|_| own(path)).map(|path| with_index(path, index))
    };
    let shared = make_files(&Stdio {
        input: shared(&stdio.input),
        output: shared(&stdio.output),
        error: shared(&stdio.error),
        join: stdio.join,
    });
    let files = |index| {
        let shared = shared.clone()?;
        let made = make_files(&Stdio {
            input: of_task(&stdio.input, index),
            output: of_task(&stdio.output, index),
            error: of_task(&stdio.error, index),
            join: stdio.join,
        })?;
        Ok(Stdio {
            input: made.input.or(shared.input),
            output: made.output.or(shared.output),
            error: made.error.or(shared.error),
            join: stdio.join,
        })
    };
    let task = |index| match files(index) {
        Ok(stdio) => NewTask { index, stdio: Some(stdio), failure: None },
        Err(Error { message, .. }) => NewTask { index, stdio: None, failure: Some(message) },
    };
    indices.map(task).collect()
}

/// Open a file for its attribute; gives its real path.
fn open(attribute: &str, path: &Text) -> Result<Text> {
    let error = |cause: &dyn std::fmt::Display| {
        Error::new(ErrorCode::InvalidArgument, format!("{attribute} {path}: {cause}"))
    };
    let mut options = OpenOptions::new();
    match attribute {
        "inputPath" => options.read(true),
        _ => options.write(true).create(true).truncate(true),
    };
    // A FIFO or a terminal is refused below, and must not block or be taken over before.
    options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    let file: File = options.open(path.as_path()).map_err(|cause| error(&cause))?;
    let kind = file.metadata().map_err(|cause| error(&cause))?.file_type();
    if !kind.is_file() {
        return Err(error(&"not a regular file"));
    }
    let real = fs::canonicalize(path.as_path()).map_err(|cause| error(&cause))?;
    Ok(Text::from(real.as_path()))
}
