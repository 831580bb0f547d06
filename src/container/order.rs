//! The conversion of a job and its image to an order for init.

use std::path::{Path, PathBuf};
use std::time::Duration;

use drmaa2_init::{self as init, Order};
use oci_spec::image::Config;

use super::spec::{self, FileMount, Host, STAGE_IN, STAGE_OUT, STDERR, STDIN, STDOUT};
use super::{environment, rlimits};
use crate::model::extensions::PREFIX;
use crate::model::{Error, Extensions, JobTemplate, Millis, Result, Text, signal_number, with_index};
use crate::tracker::{NewJob, Origin, Stdio, Submitter, Transfer};

/// The time that the processes of a job get to end, unless its template sets it.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// The time from a request to end a job until it is killed.
    pub grace: Duration,
    /// The time that processes may outlive the command before they are asked to end; `None` is the grace.
    pub linger: Option<Duration>,
}

/// The order for a job in a container of an image with this configuration; INVALID_ARGUMENT if there is
/// nothing to run.
pub fn order(job: &NewJob, image: &Config, patience: Patience, host: &Host) -> Result<Order> {
    let extensions = extensions(job)?;
    let limits = job.template.limits()?;
    let rlimits = rlimits::rlimits(&limits, &extensions);
    let raises_limits = rlimits::may_raise(&rlimits, &job.submitter);
    let (directory, create_directory) = match working_directory(job) {
        Some(directory) => (directory.as_bytes().to_vec(), false),
        None => (cleaned(image.working_dir().as_deref().unwrap_or_default()).into_bytes(), true),
    };
    let (user, groups) = user(&job.submitter, &extensions, image);
    let image_signal = || image.stop_signal().as_deref().and_then(signal_number);
    let millis = |own: Option<Millis>, usual: Duration| match own {
        Some(millis) => u64::try_from(millis).unwrap_or(0),
        None => usual.as_millis().try_into().unwrap_or(u64::MAX),
    };
    let grace = millis(extensions.grace, patience.grace);
    let linger = millis(extensions.linger, patience.linger.unwrap_or(Duration::from_millis(grace)));
    Ok(Order {
        args: command(&job.template, &extensions, image)?,
        env: environment::of(job, image),
        directory,
        create_directory,
        user,
        user_name: job.submitter.user.clone().into_bytes(),
        account: true,
        groups,
        more_groups: Vec::new(),
        drop_capabilities: spec::dropped(&extensions, host, raises_limits),
        umask: Some(job.submitter.umask),
        stdin: mounted(job.stdio.input.as_ref(), STDIN),
        stdout: mounted(job.stdio.output.as_ref(), STDOUT),
        stderr: mounted(job.stdio.error.as_ref(), STDERR),
        join: job.stdio.join,
        stop_signal: extensions.stop_signal.or_else(image_signal).unwrap_or(0),
        grace,
        linger,
        rlimits,
        cpu_time: limits.cpu_time.and_then(|millis| u64::try_from(millis).ok()),
        // A negative limit has passed at once.
        wall_clock: job.wall_clock.map(|millis| u64::try_from(millis).unwrap_or(0)),
        deadline: job.ends.as_ref().map(|end| end.at),
        deadline_reason: job.ends.as_ref().map_or_else(Vec::new, |end| end.reason.clone().into_bytes()),
        submitter: Some(init::Submitter {
            uid: job.submitter.uid,
            gid: job.submitter.gid,
            groups: job.submitter.groups.clone(),
        }),
        origins: origins(&job.stdio, &extensions),
        // Known where the order is written.
        place: None,
        sole_user: false,
        lifeline: Vec::new(),
        stage_in: transfers(&job.stdio.stage_in, STAGE_IN),
        stage_out: transfers(&job.stdio.stage_out, STAGE_OUT),
    })
}

/// The command line, composed as Docker does: the entrypoint, then the template's command or else the
/// one that the image gives its own entrypoint.
fn command(template: &JobTemplate, extensions: &Extensions, image: &Config) -> Result<Vec<Vec<u8>>> {
    let bytes = |words: &[String]| words.iter().map(|word| word.clone().into_bytes()).collect();
    let mut command: Vec<Vec<u8>> = match &extensions.entrypoint {
        Some(words) => words.iter().map(|word| word.as_bytes().to_vec()).collect(),
        None => image.entrypoint().as_deref().map_or_else(Vec::new, bytes),
    };
    let name = template.remote_command.iter().filter(|name| !name.is_empty());
    let own: Vec<&Text> = name.chain(template.args.iter().flatten()).collect();
    if !own.is_empty() {
        command.extend(own.into_iter().map(|word| word.as_bytes().to_vec()));
    } else if extensions.entrypoint.is_none() {
        command.extend(image.cmd().as_deref().map_or_else(Vec::new, bytes));
    }
    match command.is_empty() {
        true => Err(Error::argument("the job template has no remoteCommand, and the image no command")),
        false => Ok(command),
    }
}

/// The template's working directory, if it has one; with the index of an array task.
fn working_directory(job: &NewJob) -> Option<Text> {
    let directory = job.template.working_directory.as_ref().filter(|directory| !directory.is_empty())?;
    Some(match &job.task {
        Some(task) => with_index(directory, task.index),
        None => directory.clone(),
    })
}

/// The files to copy, with the mount points of the host's side.
fn transfers(transfers: &[Transfer], place: &str) -> Vec<init::Transfer> {
    let transfer = |(number, transfer): (usize, &Transfer)| init::Transfer {
        source: transfer.source.as_bytes().to_vec(),
        destination: transfer.destination.as_bytes().to_vec(),
        mount: format!("{place}/{number}").into_bytes(),
    };
    transfers.iter().enumerate().map(transfer).collect()
}

/// The job's attributes beyond the standard. Its mounts are those of the real paths that were found at
/// submission.
pub fn extensions(job: &NewJob) -> Result<Extensions> {
    let mut extensions = job.template.extensions()?;
    let attribute = format!("{PREFIX}mounts");
    let found = job.stdio.origins.iter().filter(|origin| origin.attribute == attribute);
    for (mount, origin) in extensions.mounts.iter_mut().zip(found) {
        mount.source = origin.path.to_string();
    }
    Ok(extensions)
}

/// The expected files behind the mounts. The same file may be mounted more than once.
fn origins(stdio: &Stdio, extensions: &Extensions) -> Vec<init::Origin> {
    let files = files(stdio).into_iter().map(|file| (file.source, file.target));
    let mounts = extensions.mounts.iter();
    let mounts = mounts.map(|mount| (PathBuf::from(&mount.source), mount.destination.clone()));
    let mounted: Vec<(PathBuf, String)> = files.chain(mounts).collect();
    let of = |origin: &Origin| {
        let Origin { attribute, path, device, inode } = origin.clone();
        let name = [attribute.as_bytes(), b" ", path.as_bytes()].concat();
        let same = mounted.iter().filter(move |(source, _)| source == path.as_path());
        same.map(move |(_, target)| init::Origin {
            name: name.clone(),
            mount: target.clone().into_bytes(),
            device,
            inode,
        })
        .collect::<Vec<_>>()
    };
    stdio.origins.iter().flat_map(of).collect()
}

/// The host files that init needs as mounts.
pub fn files(stdio: &Stdio) -> Vec<FileMount> {
    let error = if stdio.join { None } else { stdio.error.as_ref() };
    let streams = [
        (stdio.input.as_ref(), STDIN, true),
        (stdio.output.as_ref(), STDOUT, false),
        (error, STDERR, false),
    ];
    let streams = streams.into_iter().filter_map(|(path, target, read_only)| {
        let source = wanted(path)?.as_path().to_owned();
        Some(FileMount { source, target: target.to_owned(), read_only })
    });
    let stage_in = stdio.stage_in.iter().enumerate().map(|(number, transfer)| FileMount {
        source: transfer.source.as_path().to_owned(),
        target: format!("{STAGE_IN}/{number}"),
        read_only: true,
    });
    let stage_out = stdio.stage_out.iter().enumerate().map(|(number, transfer)| FileMount {
        source: transfer.destination.as_path().parent().unwrap_or(Path::new("/")).to_owned(),
        target: format!("{STAGE_OUT}/{number}"),
        read_only: false,
    });
    streams.chain(stage_in).chain(stage_out).collect()
}

/// A container has a `/dev/null` of its own.
fn wanted(path: Option<&Text>) -> Option<&Text> {
    path.filter(|path| !path.is_empty() && path.as_path() != Path::new("/dev/null"))
}

fn mounted(path: Option<&Text>, target: &str) -> Vec<u8> {
    wanted(path).map_or_else(Vec::new, |_| target.as_bytes().to_vec())
}

/// The user of a job: the submitter; for root, who may use any, the image's user. Other requests were
/// checked at submission.
fn user(
    submitter: &Submitter,
    extensions: &Extensions,
    image: &Config,
) -> (Vec<u8>, Option<Vec<Vec<u8>>>) {
    let wanted = extensions.user.as_ref().map(|user| user.as_bytes().to_vec());
    let groups = extensions.groups.as_ref();
    let groups = groups.map(|groups| groups.iter().map(|group| group.as_bytes().to_vec()).collect());
    if submitter.uid == 0 {
        let image = || image.user().clone().unwrap_or_default().into_bytes();
        return (wanted.unwrap_or_else(image), groups);
    }
    // Without a group, the image would decide about it.
    let wanted = wanted.filter(|user| user.contains(&b':'));
    let himself = || format!("{}:{}", submitter.uid, submitter.gid).into_bytes();
    let own = || submitter.groups.iter().map(|group| group.to_string().into_bytes()).collect();
    (wanted.unwrap_or_else(himself), Some(groups.unwrap_or_else(own)))
}

/// The working directory of an image without `.` and `..`, which Docker removes as well.
fn cleaned(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::model::JobTemplate;
    use crate::tracker::{End, Task};

    fn patience(seconds: u64) -> Patience {
        Patience { grace: Duration::from_secs(seconds), linger: None }
    }

    fn job(template: JobTemplate, uid: u32) -> NewJob {
        let (gid, groups, umask) = (100, vec![100, 44], 0o27);
        let job = NewJob::for_tests("01j");
        NewJob { template, submitter: Submitter { uid, gid, groups, umask, ..job.submitter }, ..job }
    }

    fn image() -> Config {
        serde_json::from_value(serde_json::json!({
            "User": "job",
            "Env": ["PATH=/bin", "A=image"],
            "Entrypoint": ["/entry"],
            "Cmd": ["cmd"],
            "WorkingDir": "/work",
            "StopSignal": "SIGINT",
        }))
        .unwrap()
    }

    #[test]
    fn the_template_wins_over_the_image() {
        let template = JobTemplate {
            remote_command: Some("echo".into()),
            args: Some(vec!["a b".into(), "".into()]),
            job_environment: Some(vec![("A".into(), "template".into()), ("B".into(), "x=y".into())]),
            working_directory: Some("$DRMAA2_HOME_DIR$/run".into()),
            ..JobTemplate::default()
        };
        let order = order(&job(template, 1000), &image(), patience(10), &Host::default()).unwrap();
        assert_eq!(order.args, [&b"/entry"[..], b"echo", b"a b", b""]);
        let env: Vec<_> = order.env.iter().map(|entry| String::from_utf8_lossy(entry)).collect();
        let expected = [
            "PATH=/bin",
            "A=template",
            "NSLOTS=1",
            "B=x=y",
            "DRMAA2_JOB_ID=01j",
            "DRMAA2_SESSION=s",
            "DRMAA2_JOB_SLOTS=1",
        ];
        assert_eq!(env, expected);
        assert_eq!(order.directory, b"$DRMAA2_HOME_DIR$/run");
        assert!(!order.create_directory);
        assert_eq!(order.user, b"1000:100");
        assert_eq!(order.groups, Some(vec![b"100".to_vec(), b"44".to_vec()]));
        assert_eq!(
            (order.umask, order.stop_signal, order.grace, order.linger),
            (Some(0o27), 2, 10_000, 10_000)
        );
    }

    #[test]
    fn the_directory_of_an_image_is_cleaned() {
        for (path, clean) in [
            ("", "/"),
            ("/", "/"),
            ("/a/../b", "/b"),
            ("a/./b/", "/a/b"),
            ("/../..", "/"),
            ("//a", "/a"),
        ] {
            assert_eq!(cleaned(path), clean, "{path}");
        }
    }

    #[test]
    fn the_image_fills_what_the_template_leaves_open() {
        let template = JobTemplate { working_directory: Some("".into()), ..JobTemplate::default() };
        let forever = Patience { grace: Duration::MAX, linger: Some(Duration::from_secs(3)) };
        let order = order(&job(template, 0), &image(), forever, &Host::default()).unwrap();
        assert_eq!(order.directory, b"/work");
        assert!(order.create_directory);
        assert_eq!(order.user, b"job");
        assert_eq!(order.groups, None);
        assert_eq!((order.grace, order.linger), (u64::MAX, 3000));
    }

    #[test]
    fn only_real_files_are_mounted() {
        let stdio = Stdio {
            input: Some("/dev/null".into()),
            output: Some("/o".into()),
            error: Some("/e".into()),
            join: true,
            ..Stdio::default()
        };
        let mounts = files(&stdio);
        assert_eq!(
            mounts,
            [FileMount { source: "/o".into(), target: STDOUT.to_owned(), read_only: false }]
        );
        let order = order(
            &NewJob { stdio, ..job(JobTemplate::default(), 0) },
            &image(),
            patience(0),
            &Host::default(),
        )
        .unwrap();
        assert_eq!((order.stdin, order.stdout), (vec![], STDOUT.as_bytes().to_vec()));
        assert!(order.join);
    }

    #[test]
    fn what_is_staged_is_mounted_and_checked() {
        let transfer = |from: &str, to: &str| Transfer { source: from.into(), destination: to.into() };
        let origin = |attribute: &str, path: &str, inode| Origin {
            attribute: attribute.into(),
            path: path.into(),
            device: 7,
            inode,
        };
        let stdio = Stdio {
            stage_in: vec![transfer("/h/a", "b"), transfer("/h/c", "d")],
            stage_out: vec![transfer("e", "/h/f")],
            origins: vec![origin("stageInFiles", "/h/c", 1), origin("stageOutFiles", "/h", 2)],
            ..Stdio::default()
        };
        let mount = |source: &str, target: &str, read_only| FileMount {
            source: source.into(),
            target: target.into(),
            read_only,
        };
        let expected = [
            mount("/h/a", "/.drmaa2/in/0", true),
            mount("/h/c", "/.drmaa2/in/1", true),
            mount("/h", "/.drmaa2/out/0", false),
        ];
        assert_eq!(files(&stdio), expected);
        let job = NewJob { stdio, ..job(JobTemplate::default(), 1000) };
        let order = order(&job, &image(), patience(0), &Host::default()).unwrap();
        assert_eq!(order.stage_in[1].mount, b"/.drmaa2/in/1");
        assert_eq!(order.stage_out[0].destination, b"/h/f");
        let checked: Vec<_> =
            order.origins.iter().map(|origin| (&origin.mount[..], origin.inode)).collect();
        assert_eq!(checked, [(&b"/.drmaa2/in/1"[..], 1), (b"/.drmaa2/out/0", 2)]);
        assert_eq!(order.origins[0].name, b"stageInFiles /h/c");
        assert_eq!(order.submitter.map(|submitter| submitter.uid), Some(1000));
    }

    #[test]
    fn an_array_task_knows_its_place() {
        let template = JobTemplate {
            working_directory: Some("/$DRMAA2_INDEX$/$DRMAA2_INDEX$".into()),
            ..JobTemplate::default()
        };
        let task = Some(Task { array: "01a".into(), index: 7, range: None, max_parallel: None });
        let order = order(&NewJob { task, ..job(template, 0) }, &image(), patience(0), &Host::default())
            .unwrap();
        assert_eq!(order.directory, b"/7/7");
    }

    #[test]
    fn the_limits_are_the_jobs() {
        let limits = |wall_clock, ends| {
            let job = NewJob { wall_clock, ends, ..job(JobTemplate::default(), 0) };
            let order = order(&job, &image(), patience(0), &Host::default()).unwrap();
            (order.wall_clock, order.deadline, order.deadline_reason)
        };
        assert_eq!(limits(None, None), (None, None, vec![]));
        let end = Some(End { at: 5, reason: "why".into() });
        assert_eq!(limits(Some(2000), end), (Some(2000), Some(5), b"why".to_vec()));
        assert_eq!(limits(Some(-1), None), (Some(0), None, vec![]));
    }

    fn with(attributes: &[(&str, &str)], template: JobTemplate) -> JobTemplate {
        let extensions = attributes
            .iter()
            .map(|(name, value)| (format!("containerd_jt_{name}"), (*value).into()))
            .collect();
        JobTemplate { extensions, ..template }
    }

    #[test]
    fn the_command_is_put_together_as_docker_does_it() {
        let args = |entrypoint: &str, command: &str, args: &[&str], image: &Config| {
            let template = JobTemplate {
                remote_command: Some(command.into()),
                args: Some(args.iter().map(|arg| (*arg).into()).collect()),
                ..JobTemplate::default()
            };
            let job = job(with(&[("entrypoint", entrypoint)], template), 0);
            let order = order(&job, image, patience(0), &Host::default()).ok()?;
            Some(order.args.into_iter().map(|arg| String::from_utf8(arg).unwrap()).collect::<Vec<_>>())
        };
        let words =
            |words: &[&str]| Some(words.iter().map(ToString::to_string).collect::<Vec<String>>());
        assert_eq!(args("", "", &[], &image()), words(&["/entry", "cmd"]));
        assert_eq!(args("", "run", &["1"], &image()), words(&["/entry", "run", "1"]));
        assert_eq!(args("", "", &["1"], &image()), words(&["/entry", "1"]));
        assert_eq!(args("[]", "run", &["1"], &image()), words(&["run", "1"]));
        assert_eq!(args("/own", "", &[], &image()), words(&["/own"]));
        assert_eq!(args("[\"/own\", \"-x\"]", "run", &[], &image()), words(&["/own", "-x", "run"]));
        assert_eq!(args("[]", "", &[], &image()), None);
        assert_eq!(args("", "", &[], &Config::default()), None);
        assert_eq!(args("", "run", &[], &Config::default()), words(&["run"]));
    }

    #[test]
    fn attributes_come_before_image_and_configuration() {
        let attributes = [
            ("user", "alice:video"),
            ("groups", "audio,7"),
            ("stop_signal", "USR1"),
            ("grace", "0.5"),
            ("linger", "2"),
            ("cap_drop", "CHOWN"),
        ];
        let job = job(with(&attributes, JobTemplate::default()), 0);
        let order = order(&job, &image(), patience(10), &Host::default()).unwrap();
        assert_eq!(order.user, b"alice:video");
        assert_eq!(order.groups, Some(vec![b"audio".to_vec(), b"7".to_vec()]));
        assert_eq!((order.stop_signal, order.grace, order.linger), (10, 500, 2000));
        assert_eq!(order.drop_capabilities, [0]);
    }

    #[test]
    fn the_image_does_not_say_which_group_a_submitter_has() {
        let user = |attributes: &[(&str, &str)]| {
            let job = job(with(attributes, JobTemplate::default()), 1000);
            let order = order(&job, &image(), patience(0), &Host::default()).unwrap();
            (String::from_utf8(order.user).unwrap(), order.groups.unwrap().len())
        };
        assert_eq!(user(&[("user", "1000")]), ("1000:100".to_owned(), 2));
        assert_eq!(user(&[("user", "1000:44"), ("groups", "44")]), ("1000:44".to_owned(), 1));
    }
}
