//! Jobs without the library's init: the command is the container's PID 1 itself, for images that have an
//! init.
//!
//! Nothing of the library is in such a container. The shim opens the standard streams, from files that
//! are held for it, and the end of the job is known only from the exit of its task. The mounts are
//! compared with the submitter's files from outside, before the start.

use std::ffi::OsStr;
use std::fmt::Display;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;

use drmaa2_init::{self as init, DEFAULT_PATH, OPEN_FILES, Order};
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use serde_json::{Value, json};

use super::files::NO_STREAM;
use crate::container::order;
use crate::container::spec::{FileMount, STDERR, STDIN, STDOUT, is_private, is_private_path};
use crate::model::extensions::PREFIX;
use crate::model::{Error, ErrorCode, Extensions, JobTemplate, Result};
use crate::tracker::{Origin, Stdio};

/// The files that the shim opens. Under init each mount is compared with the submitter's file; here
/// nothing compares from inside. So they are opened and compared before, and the shim gets paths of the
/// open files, which later changes of the names do not affect. For that, the shim has to see this
/// process.
#[derive(Default)]
pub(super) struct Held(Vec<File>);

impl Held {
    /// Hold the files of a job. Returns them with their new paths.
    pub(super) fn hold(stdio: &Stdio) -> Result<(Vec<FileMount>, Self)> {
        let mut held = Self::default();
        let mut files = order::files(stdio);
        for FileMount { source, .. } in &mut files {
            let error = |cause: &io::Error| {
                Error::new(ErrorCode::of_io(cause), format!("{}: {cause}", source.display()))
            };
            let opened = File::options().read(true).custom_flags(libc::O_PATH).open(&*source);
            let file = opened.map_err(|cause| error(&cause))?;
            let found = file.metadata().map_err(|cause| error(&cause))?;
            let mut origins = stdio.origins.iter().filter(|origin| origin.path.as_path() == source);
            let is_other =
                |origin: &&Origin| (origin.device, origin.inode) != (found.dev(), found.ino());
            if let Some(Origin { attribute, path, .. }) = origins.find(is_other) {
                return Err(replaced(format_args!("{attribute} {path}")));
            }
            *source = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()).into();
            held.0.push(file);
        }
        Ok((files, held))
    }
}

fn replaced(name: impl Display) -> Error {
    Error::argument(format!("{name} was replaced after the job was submitted"))
}

/// Compare the mounts of a container with the submitter's files; its task, with this process, is made
/// and not started. Only root can.
pub(super) fn check_mounts(pid: u32, origins: &[init::Origin]) -> Result<()> {
    let mut mounts = origins.iter().filter(|origin| !is_private_path(&origin.mount)).peekable();
    if mounts.peek().is_none() {
        return Ok(());
    }
    let root = PathBuf::from(format!("/proc/{pid}/root"));
    let refuse = |name: &str, cause: io::Error| {
        let text = format!("{name}: cannot look into the container: {cause}");
        Error::new(ErrorCode::of_io(&cause), text)
    };
    for init::Origin { name, mount, device, inode } in mounts {
        let name = String::from_utf8_lossy(name);
        let look = || {
            let root = File::open(&root)?;
            // A symbolic link of the image is resolved as in the container.
            let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC);
            let how = how.resolve(ResolveFlag::RESOLVE_IN_ROOT);
            let place = openat2(&root, OsStr::from_bytes(mount), how)?;
            File::from(place).metadata()
        };
        let found = look().map_err(|cause| refuse(&name, cause))?;
        if (found.dev(), found.ino()) != (*device, *inode) {
            return Err(replaced(name));
        }
    }
    Ok(())
}

/// Paths of standard input, output and error for the shim.
pub(super) fn streams(files: &[FileMount], join: bool) -> Result<[String; 3]> {
    let path = |target: &str| match files.iter().find(|file| file.target == target) {
        None => Ok(NO_STREAM.to_owned()),
        Some(file) => {
            let path = file.source.to_str().map(str::to_owned);
            path.ok_or_else(|| Error::argument(format!("{:?} is not UTF-8", file.source)))
        }
    };
    let output = path(STDOUT)?;
    let error = if join { output.clone() } else { path(STDERR)? };
    Ok([path(STDIN)?, output, error])
}

/// Refuse a template that cannot be run without an init, as far as that is known without its image.
pub(super) fn check(template: &JobTemplate, wanted: &Extensions) -> Result<()> {
    if !wanted.no_init {
        return Ok(());
    }
    let of = |attribute: &str| format!("job template attribute {PREFIX}{attribute}");
    if let Some(text) = &wanted.user {
        user(text.as_bytes()).map_err(|error| error.of(of("user")))?;
    }
    for group in wanted.groups.iter().flatten() {
        number(group.as_bytes()).map_err(|error| error.of(of("groups")))?;
    }
    for word in wanted.entrypoint.iter().flatten() {
        string(&of("entrypoint"), word.as_bytes())?;
    }
    let words =
        [("remoteCommand", &template.remote_command), ("workingDirectory", &template.working_directory)]
            .into_iter()
            .flat_map(|(attribute, word)| word.iter().map(move |word| (attribute, word)));
    let args = template.args.iter().flatten().map(|word| ("args", word));
    let variables = template.job_environment.iter().flatten();
    let variables =
        variables.flat_map(|(name, value)| [name, value]).map(|word| ("jobEnvironment", word));
    for (attribute, word) in words.chain(args).chain(variables) {
        string(attribute, word.as_bytes())?;
    }
    Ok(())
}

/// Give the command the usual limit of open files, with the hard limit that it has from the daemon
/// anyway; if that is not visible, nothing is changed. With an init, init does so.
pub(super) fn limit_open_files(spec: &mut Value, daemon: Option<u32>) {
    let limits = daemon.and_then(|pid| fs::read_to_string(format!("/proc/{pid}/limits")).ok());
    if let Some(hard) = limits.as_deref().and_then(open_files) {
        let soft = hard.min(OPEN_FILES);
        spec["process"]["rlimits"] = json!([{ "type": "RLIMIT_NOFILE", "soft": soft, "hard": hard }]);
    }
}

/// The hard limit of open files in the kernel's table of a process's limits.
fn open_files(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Change a spec that runs init to one that runs the command itself.
pub(super) fn apply(spec: &mut Value, order: &Order) -> Result<()> {
    if let Some(mounts) = spec["mounts"].as_array_mut() {
        mounts.retain(|mount| !is_private(mount));
    }
    let (uid, gid) = user(&order.user)?;
    let mut groups = match &order.groups {
        Some(groups) => groups.iter().map(|group| number(group)).collect::<Result<_>>()?,
        None => vec![gid],
    };
    groups.extend(&order.more_groups);
    let process = &mut spec["process"];
    process["args"] = strings("args", &order.args)?.into();
    let mut env = strings("jobEnvironment", &order.env)?;
    if !env.iter().any(|entry| entry.starts_with("PATH=")) {
        env.push(format!("PATH={DEFAULT_PATH}"));
    }
    process["env"] = env.into();
    process["cwd"] = match order.directory.as_slice() {
        [] => "/".into(),
        directory => string("workingDirectory", directory)?.into(),
    };
    process["user"] = json!({ "uid": uid, "gid": gid, "additionalGids": groups });
    if let Some(umask) = order.umask {
        process["user"]["umask"] = umask.into();
    }
    // As under init: the job of a user other than root has none, and can get none.
    if uid != 0 {
        for set in ["effective", "permitted"] {
            process["capabilities"][set] = json!([]);
        }
    }
    Ok(())
}

/// `uid` or `uid:gid`.
fn user(text: &[u8]) -> Result<(u32, u32)> {
    let mut parts = text.splitn(2, |byte| *byte == b':');
    let mut next = || number(parts.next().unwrap_or_default());
    Ok((next()?, next()?))
}

/// The number of a user or a group. Names are in files of the image, which only init can read.
fn number(part: &[u8]) -> Result<u32> {
    match part {
        b"" | b"root" => Ok(0),
        _ => std::str::from_utf8(part).ok().and_then(|part| part.parse().ok()).ok_or_else(|| {
            let name = part.escape_ascii();
            Error::argument(format!(
                "\"{name}\": with containerd_jt_init=off, users and groups have to be numbers, or root"
            ))
        }),
    }
}

fn strings(attribute: &str, values: &[Vec<u8>]) -> Result<Vec<String>> {
    values.iter().map(|value| string(attribute, value)).collect()
}

/// A spec holds UTF-8 only.
fn string(attribute: &str, value: &[u8]) -> Result<String> {
    String::from_utf8(value.to_vec()).map_err(|_| {
        let value = value.escape_ascii();
        Error::argument(format!("{attribute}: with containerd_jt_init=off, \"{value}\" has to be UTF-8"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hard_limit_of_open_files_is_the_daemons() {
        let line = "Max open files            1073741816           4096                 files     \n";
        let limits = format!(
            "Limit                     Soft Limit           Hard Limit           Units     \n{line}"
        );
        assert_eq!(open_files(&limits), Some(4096));
        assert_eq!(open_files("Max open files  unlimited  unlimited  files"), None);
        let rlimits = |daemon| {
            let mut spec = json!({ "process": {} });
            limit_open_files(&mut spec, daemon);
            spec["process"]["rlimits"][0].clone()
        };
        assert_eq!(rlimits(None), Value::Null);
        let own = rlimits(Some(std::process::id()));
        assert_eq!(own["soft"].as_u64(), own["hard"].as_u64().map(|hard| hard.min(1024)));
        assert_eq!(own["type"], "RLIMIT_NOFILE");
    }

    #[test]
    fn a_user_is_a_number_or_root() {
        assert_eq!(user(b""), Ok((0, 0)));
        assert_eq!(user(b"root"), Ok((0, 0)));
        assert_eq!(user(b"1000"), Ok((1000, 0)));
        assert_eq!(user(b"1000:100"), Ok((1000, 100)));
        let error = user(b"alice").unwrap_err();
        assert!(error.message.contains("alice"), "{error}");
    }

    #[test]
    fn what_only_init_can_do_is_refused_by_name_and_value() {
        let extension = |name: &str, value: &str| JobTemplate {
            extensions: [(format!("{PREFIX}{name}"), value.into())].into(),
            ..JobTemplate::default()
        };
        let odd = || Some(crate::model::Text::from(&b"\xff"[..]));
        let wrong = [
            (extension("user", "alice"), "containerd_jt_user", "\"alice\""),
            (extension("groups", "7,staff"), "containerd_jt_groups", "\"staff\""),
            (JobTemplate { remote_command: odd(), ..JobTemplate::default() }, "remoteCommand", "\\xff"),
            (
                JobTemplate { args: Some(vec!["a".into(), odd().unwrap()]), ..JobTemplate::default() },
                "args",
                "\\xff",
            ),
            (
                JobTemplate {
                    job_environment: Some(vec![("A".into(), odd().unwrap())]),
                    ..JobTemplate::default()
                },
                "jobEnvironment",
                "\\xff",
            ),
        ];
        for (template, attribute, value) in wrong {
            let with_init = template.extensions().unwrap();
            assert_eq!(check(&template, &with_init), Ok(()));
            let error = check(&template, &Extensions { no_init: true, ..with_init }).unwrap_err();
            assert_eq!(error.code, ErrorCode::InvalidArgument);
            assert!(error.message.contains(attribute) && error.message.contains(value), "{error}");
        }
    }

    #[test]
    fn the_command_takes_the_place_of_init() {
        let mut spec = json!({
            "mounts": [{ "destination": "/proc" }, { "destination": "/.drmaa2/init" }],
            "process": { "args": ["/.drmaa2/init"], "capabilities": { "effective": ["CAP_KILL"] } },
        });
        let order = Order {
            args: vec![b"/sbin/init".to_vec()],
            user: b"7:8".to_vec(),
            groups: Some(vec![b"8".to_vec(), b"9".to_vec()]),
            more_groups: vec![10],
            ..Order::default()
        };
        apply(&mut spec, &order).unwrap();
        assert_eq!(spec["mounts"].as_array().unwrap().len(), 1);
        let process = &spec["process"];
        assert_eq!(process["args"], json!(["/sbin/init"]));
        assert_eq!(process["cwd"], "/");
        assert_eq!(process["env"], json!([format!("PATH={DEFAULT_PATH}")]));
        assert_eq!(process["user"], json!({ "uid": 7, "gid": 8, "additionalGids": [8, 9, 10] }));
        assert_eq!(process["capabilities"]["effective"], json!([]));
        let odd = Order { args: vec![b"\xff".to_vec()], ..order };
        assert!(apply(&mut spec, &odd).unwrap_err().message.contains("UTF-8"));
    }
}
