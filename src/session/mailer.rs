//! The process that sends a mail, through a program that takes mails as sendmail does.
//!
//! It is `drmaa2d --mail`, one for each mail. A program that submits jobs may end at any moment; this
//! process stays until the mail is accepted or refused, and stores the result. So the end of the process
//! that noticed a due mail neither loses nor repeats it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use email_encoding::headers::{rfc2047, writer::EmailWriter};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::model::{Error, JobInfo, Result, Text, now};
use crate::procfs;
use crate::store::{Claim, Mail, Store};

/// The longest run time of the program, milliseconds.
const LIMIT: i32 = 600_000;

/// The longest part of the program's message about a failure that is reported, bytes.
const LAST_WORDS: u64 = 300;

/// Send a mail that another process has claimed, unless a third one has claimed it by now.
pub fn send_mail(state_dir: &Path, number: i64, holder: &str) -> Result<()> {
    let store = Store::open(state_dir)?;
    let mine = Claim::mine();
    let Some(mail) = store.take_mail(number, &Claim::of_text(holder), &mine)? else { return Ok(()) };
    match hand_over(&mail) {
        Ok(()) => store.mail_sent(number, &mine),
        Err(error) => store.mail_failed(number, &mine, &error.message),
    }
}

fn hand_over(mail: &Mail) -> Result<()> {
    let sendmail = mail.program.as_path();
    let failed = |cause: String| {
        let to: Vec<String> = mail.to.iter().map(Text::to_string).collect();
        let text = format!("no mail can be sent to {} with {}", to.join(", "), sendmail.display());
        Error::internal(format!("{text}: {cause}"))
    };
    let os = |error: io::Error| failed(error.to_string());
    let mut said = memory("said").map_err(os)?;
    let mut child = Command::new(sendmail)
        // -i: a line with a single dot does not end the message.
        .args(["-i", "--"])
        .args(mail.to.iter().map(|address| address.as_path().as_os_str()))
        .stdin(written(&message(mail)).map_err(os)?)
        .stdout(Stdio::null())
        .stderr(said.try_clone().map_err(os)?)
        .spawn()
        .map_err(os)?;
    match end_of(&mut child).map_err(os)? {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(failed(format!("{status}{}", last_words(&mut said)))),
        None => Err(failed(format!("it has not ended after {} s", LIMIT / 1000))),
    }
}

/// The exit status of the program; `None` if it had to be killed.
fn end_of(child: &mut Child) -> io::Result<Option<ExitStatus>> {
    if let Some(program) = procfs::descriptor(child.id()) {
        let mut places = [PollFd::new(program.as_fd(), PollFlags::POLLIN)];
        if poll(&mut places, PollTimeout::try_from(LIMIT).unwrap_or(PollTimeout::NONE))? == 0 {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
    }
    child.wait().map(Some)
}

/// The end of the program's output, as one line.
fn last_words(said: &mut File) -> String {
    let mut words = Vec::new();
    let read = said.seek(SeekFrom::End(0)).and_then(|end| {
        said.seek(SeekFrom::Start(end.saturating_sub(LAST_WORDS)))?;
        said.take(LAST_WORDS).read_to_end(&mut words)
    });
    let words = String::from_utf8_lossy(&words);
    let words: Vec<&str> = words.split_whitespace().collect();
    if read.is_err() || words.is_empty() { String::new() } else { format!(": {}", words.join(" ")) }
}

/// A file without a name.
fn memory(name: &str) -> io::Result<File> {
    Ok(File::from(memfd_create(name, MFdFlags::MFD_CLOEXEC)?))
}

/// A file with this content, at its beginning.
fn written(content: &str) -> io::Result<File> {
    let mut file = memory("mail")?;
    file.write_all(content.as_bytes())?;
    file.rewind()?;
    Ok(file)
}

fn message(mail: &Mail) -> String {
    let info = &mail.info;
    let to: Vec<String> = mail.to.iter().map(Text::to_string).collect();
    let event = if mail.started { "has started".to_owned() } else { format!("is {}", info.state) };
    let name: String =
        info.name.iter().flat_map(|name| name.chars()).filter(|char| !char.is_control()).collect();
    let name = if name.is_empty() { name } else { format!(" ({name})") };
    let subject = header(&format!("Job {}{name} {event}", info.id));
    let mut text = format!(
        "To: {}\nSubject: {subject}\nAuto-Submitted: auto-generated\nMIME-Version: 1.0\n\
         Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nJob {} {event}.\n\n",
        to.join(", "),
        info.id,
    );
    for (what, value) in facts(info, mail.started) {
        text.push_str(&format!("{what}: {value}\n"));
    }
    text
}

/// The text of a header, encoded by RFC 2047 if it is not ASCII.
fn header(text: &str) -> String {
    if text.is_ascii() {
        return text.to_owned();
    }
    let mut encoded = String::new();
    let mut writer = EmailWriter::new(&mut encoded, "Subject: ".len(), 0, false);
    let written = rfc2047::encode(text, &mut writer);
    drop(writer);
    match written {
        // The program that sends the mail expects the line ends of this system.
        Ok(()) => encoded.replace("\r\n", "\n"),
        Err(_) => text.chars().filter(char::is_ascii).collect(),
    }
}

/// The facts for the reader of the mail.
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
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;
    use crate::model::JobState;

    #[test]
    fn a_name_cannot_add_a_header() {
        let info = JobInfo {
            name: Some("a\nBcc: x@y".into()),
            exit_status: Some(3),
            ..JobInfo::new("j", JobState::Failed)
        };
        let mail =
            Mail { program: "/p".into(), to: vec!["a@b".into(), "root".into()], started: false, info };
        let text = message(&mail);
        assert!(text.starts_with("To: a@b, root\nSubject: Job j (aBcc: x@y) is FAILED\n"), "{text}");
        let (headers, body) = text.split_once("\n\n").unwrap();
        assert_eq!(headers.lines().count(), 6, "{headers}");
        assert!(body.contains("Exit status: 3"), "{body}");
        let started = message(&Mail { started: true, ..mail });
        assert!(started.contains("has started") && !started.contains("Exit status"), "{started}");
    }

    #[test]
    fn a_name_in_any_language_is_encoded() {
        for name in ["Übung 1", "計算 テスト", &"ж".repeat(200)] {
            let info = JobInfo { name: Some(name.into()), ..JobInfo::new("j", JobState::Done) };
            let mail = Mail { program: "/p".into(), to: vec!["a@b".into()], started: false, info };
            let text = message(&mail);
            let (headers, _) = text.split_once("\n\n").unwrap();
            assert!(headers.is_ascii() && !headers.contains('\r'), "{headers}");
            assert!(headers.lines().all(|line| line.len() <= 78), "{headers}");
            // Decoded as a mail reader does it.
            let subject = headers.split_once("Subject: ").unwrap().1;
            let subject: Vec<&str> =
                subject.lines().take_while(|line| !line.starts_with("Auto")).collect();
            let words = subject.join("");
            let decoded: Vec<u8> = words
                .split_whitespace()
                .flat_map(|word| {
                    let word = word.strip_prefix("=?utf-8?b?").unwrap().strip_suffix("?=").unwrap();
                    STANDARD.decode(word).unwrap()
                })
                .collect();
            assert_eq!(String::from_utf8(decoded).unwrap(), format!("Job j ({name}) is DONE"));
        }
    }

    /// A program that does this with a mail.
    fn told_by(script: &str) -> Result<()> {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("sendmail");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let mail = Mail {
            program: program.to_str().unwrap().into(),
            to: vec!["a@b".into()],
            started: false,
            info: JobInfo::new("j", JobState::Done),
        };
        hand_over(&mail)
    }

    #[test]
    fn what_the_program_makes_of_a_mail_is_told() {
        told_by("grep -q 'Job j is DONE'").unwrap();
        let refused = told_by("echo; echo 'queue file: Permission denied' >&2; exit 75").unwrap_err();
        assert!(refused.message.starts_with("no mail can be sent to a@b with /"), "{refused}");
        assert!(
            refused.message.ends_with("exit status: 75: queue file: Permission denied"),
            "{refused}"
        );
        let killed = told_by("kill -KILL $$").unwrap_err();
        assert!(killed.message.ends_with("signal: 9 (SIGKILL)"), "{killed}");
    }
}
