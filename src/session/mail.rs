//! Mails about jobs, through a program that takes them as sendmail does.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{ErrorKind, PipeReader, Read, Seek, Write, pipe};
use std::os::fd::{AsFd, BorrowedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::agent::spawn::{Handed, spawn};
use crate::model::{Error, ErrorCode, JobInfo, Millis, Result, Text, now};
use crate::store::Mail;

/// How long a program may be at a mail before others are started all the same, milliseconds.
pub(super) const PATIENCE: Millis = 60_000;

/// A program that may still be at work on a mail.
pub(super) struct Sending {
    /// The other end of its lifeline.
    lifeline: PipeReader,
    begun: Millis,
}

impl Sending {
    /// Is it through, or has it had its time?
    pub(super) fn is_over(&mut self) -> bool {
        match self.lifeline.read(&mut [0]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => now() - self.begun > PATIENCE,
            _ => true,
        }
    }
}

impl AsFd for Sending {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.lifeline.as_fd()
    }
}

/// Send a mail. Returns when the program has begun; what it makes of the mail is its own affair. That
/// may take as long as the program's file system does, so no lock may be held: a child that is forked
/// meanwhile has the lifeline as well, which then tells nothing, and the program is taken to be at work
/// for all of its time.
pub(super) fn send(mail: &Mail) -> Result<Sending> {
    let sendmail = mail.program.as_path();
    let refuse = |error: std::io::Error| {
        let text = format!("cannot send a mail about job {} with {}", mail.info.id, sendmail.display());
        Error::new(ErrorCode::of_io(&error), format!("{text}: {error}"))
    };
    let input = file(&message(mail)).map_err(refuse)?;
    let nowhere = File::options().write(true).open("/dev/null").map_err(refuse)?;
    let (lifeline, end) = pipe().map_err(refuse)?;
    fcntl(&lifeline, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(|error| refuse(error.into()))?;
    // -i: a line that holds a dot alone does not end the message.
    let options = ["-i", "--"].map(OsStr::new);
    let to = mail.to.iter().map(|address| address.as_path().as_os_str());
    let arguments: Vec<&OsStr> = [sendmail.as_os_str()].into_iter().chain(options).chain(to).collect();
    let variables: Vec<(OsString, OsString)> = env::vars_os().collect();
    let handed = Handed::Input { input: input.as_fd(), nowhere: nowhere.as_fd(), lifeline: end.as_fd() };
    spawn(sendmail, &arguments, &variables, handed).map_err(refuse)?;
    Ok(Sending { lifeline, begun: now() })
}

/// A file without a name, to be read from the beginning.
fn file(content: &str) -> std::io::Result<File> {
    let mut file = File::from(memfd_create("mail", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(content.as_bytes())?;
    file.rewind()?;
    Ok(file)
}

fn message(mail: &Mail) -> String {
    let info = &mail.info;
    let to: Vec<String> = mail.to.iter().map(Text::to_string).collect();
    let event = if mail.started { "has started".to_owned() } else { format!("is {}", info.state) };
    // A header is one line of plain text.
    let name: String = info.name.iter().flat_map(|name| name.chars()).filter(char::is_ascii).collect();
    let name: String = name.chars().filter(|char| !char.is_control()).collect();
    let name = if name.is_empty() { String::new() } else { format!(" ({name})") };
    let mut text = format!(
        "To: {}\nSubject: Job {}{name} {event}\nAuto-Submitted: auto-generated\n\
         Content-Type: text/plain; charset=utf-8\n\nJob {} {event}.\n\n",
        to.join(", "),
        info.id,
        info.id,
    );
    for (what, value) in facts(info, mail.started) {
        text.push_str(&format!("{what}: {value}\n"));
    }
    text
}

/// What a reader wants to know.
fn facts(info: &JobInfo, started: bool) -> Vec<(&'static str, String)> {
    let seconds = |seconds: Option<i64>| seconds.map(|seconds| format!("{seconds} s"));
    let machine = info.allocated_machines.first().map(|slot| slot.machine.clone());
    let always = [("Session", info.session.clone()), ("Machine", machine)];
    let at_end = [
        ("Exit status", info.exit_status.map(|status| status.to_string())),
        ("Signal", info.terminating_signal.clone()),
        ("Reason", info.annotation.clone()),
        ("Wall clock time", seconds(info.wallclock_seconds(now()))),
        ("CPU time", seconds(info.cpu_seconds())),
    ];
    let at_end = at_end.into_iter().filter(|_| !started);
    always.into_iter().chain(at_end).filter_map(|(what, value)| Some((what, value?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::JobState;

    #[test]
    fn a_name_cannot_add_a_header() {
        let info = JobInfo {
            name: Some("a\nBcc: x@y\u{fc}".into()),
            exit_status: Some(3),
            ..JobInfo::new("j", JobState::Failed)
        };
        let mail =
            Mail { program: "/p".into(), to: vec!["a@b".into(), "root".into()], started: false, info };
        let text = message(&mail);
        assert!(text.starts_with("To: a@b, root\nSubject: Job j (aBcc: x@y) is FAILED\n"), "{text}");
        let (headers, body) = text.split_once("\n\n").unwrap();
        assert_eq!(headers.lines().count(), 4, "{headers}");
        assert!(body.contains("Exit status: 3"), "{body}");
        let started = message(&Mail { started: true, ..mail });
        assert!(started.contains("has started") && !started.contains("Exit status"), "{started}");
    }
}
