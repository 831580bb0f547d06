//! The host paths of a job's files.

use nix::unistd::Uid;

use super::submitter::user;
use crate::model::{JobTemplate, Result, Text};
use crate::tracker::{Stdio, Transfer};

/// The attribute that names the files and directories that are mounted in a container.
pub(super) const MOUNTS: &str = "containerd_jt_mounts";

/// The host paths of a job of a user with this home directory, placeholders filled in.
pub(super) fn of(template: &JobTemplate, home: &Text) -> Result<Stdio> {
    let mut stdio = Stdio { join: template.join_files, ..Stdio::default() };
    for (attribute, path) in template.stdio_paths() {
        let path = template.expand_path(attribute, path, home)?;
        let path = (path != Text::from("/dev/null")).then_some(path);
        match attribute {
            "inputPath" => stdio.input = path,
            "outputPath" => stdio.output = path,
            _ => stdio.error = path,
        }
    }
    for (source, destination) in template.stage_in_files.iter().flatten() {
        let source = template.expand_path("stageInFiles", source, home)?;
        stdio.stage_in.push(Transfer { source, destination: destination.clone() });
    }
    for (source, destination) in template.stage_out_files.iter().flatten() {
        let destination = template.expand_path("stageOutFiles", destination, home)?;
        stdio.stage_out.push(Transfer { source: source.clone(), destination });
    }
    Ok(stdio)
}

/// The home directory of a user.
pub(super) fn home(uid: u32) -> Result<Text> {
    let dir = user(Uid::from_raw(uid))?.map_or_else(|| "/".into(), |user| user.dir);
    Ok(Text::from(dir.as_path()))
}
