//! A container of the node's containerd, for which the broker there is asked: it is below the control group of this
//! process, and ends with it at the latest.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use drmaa2_init::Record;
use drmaa2_init::signals::Signals;
use serde_json::Value;

use super::claim::exit_code;

/// The largest message of the broker, bytes.
const MOST: u32 = 1 << 20;

/// The time that a broker may be away before the container is begun, and the pauses until it is asked again.
const PATIENCE: Duration = Duration::from_secs(120);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(2);

/// The state of a container, as the broker tells it.
enum News {
    Begun(u32),
    Ended(u32),
}

/// Send these messages to the broker, pass signals on to the container's first process, and end as it does.
pub(crate) fn run(signals: Signals, socket: &OsStr, messages: &Path, run_dir: &Path) -> ExitCode {
    let process = Arc::new(OnceLock::new());
    let passing = Arc::clone(&process);
    thread::spawn(move || pass_on(&signals, &passing));
    let ended = ask(socket, messages, &process).and_then(|stream| follow(stream, &process, run_dir));
    match ended {
        Ok(status) => status.into(),
        Err(error) => {
            super::complain(format_args!("the broker at {}: {error}", socket.display()));
            super::REFUSED.into()
        }
    }
}

/// Ask for the container, and wait until its first process runs. A broker that ends meanwhile is asked again when it is back:
/// it knows what it has begun.
fn ask(socket: &OsStr, messages: &Path, process: &OnceLock<OwnedFd>) -> io::Result<UnixStream> {
    let text = fs::read_to_string(messages)?;
    let mut stream = UnixStream::connect(socket)?;
    let (lost, mut pause) = (Instant::now() + PATIENCE, FIRST_PAUSE);
    loop {
        let told = say(&mut stream, &text).and_then(|()| next(&mut stream));
        match told {
            Ok(Some(News::Begun(pid))) => {
                // One that has ended already needs no signal.
                if let Ok(descriptor) = descriptor(pid) {
                    let _ = process.set(descriptor);
                }
                return Ok(stream);
            }
            Err(error) if error.kind() == io::ErrorKind::Other => return Err(error),
            Ok(_) | Err(_) => {}
        }
        stream = loop {
            thread::sleep(pause);
            pause = (pause * 2).min(LAST_PAUSE);
            match UnixStream::connect(socket) {
                Err(error) if Instant::now() >= lost => return Err(error),
                Err(_) => {}
                Ok(stream) => break stream,
            }
        };
    }
}

fn say(stream: &mut UnixStream, text: &str) -> io::Result<()> {
    for message in text.lines() {
        let length = u32::try_from(message.len()).map_err(io::Error::other)?;
        stream.write_all(&length.to_be_bytes())?;
        stream.write_all(message.as_bytes())?;
    }
    Ok(())
}

/// Wait for the end of the container. A broker that is killed leaves it alone.
fn follow(mut stream: UnixStream, process: &OnceLock<OwnedFd>, run_dir: &Path) -> io::Result<u8> {
    match next(&mut stream) {
        Ok(Some(News::Ended(status))) => Ok(u8::try_from(status).unwrap_or(super::REFUSED)),
        // It has told why.
        Err(error) if error.kind() == io::ErrorKind::Other => Err(error),
        _ => {
            if let Some(process) = process.get() {
                wait_for_end(process);
            }
            Ok(Record::read(run_dir).map_or(super::REFUSED, |record| exit_code(&record)))
        }
    }
}

/// The next news; `None` if the broker has gone. What it refuses is an error of the kind `Other`.
fn next(stream: &mut UnixStream) -> io::Result<Option<News>> {
    loop {
        let mut head = [0; 4];
        if let Err(error) = stream.read_exact(&mut head) {
            return if error.kind() == io::ErrorKind::UnexpectedEof { Ok(None) } else { Err(error) };
        }
        let length = u32::from_be_bytes(head);
        if length > MOST {
            return Err(io::Error::other(format!("a message of {length} bytes")));
        }
        let mut text = Vec::new();
        stream.take(length.into()).read_to_end(&mut text)?;
        let told: Value = serde_json::from_slice(&text)?;
        if let Some(news) = news(&told).map_err(io::Error::other)? {
            return Ok(Some(news));
        }
    }
}

/// The news in a message; `None` if it says nothing new, or what the broker refuses, in its own words.
fn news(told: &Value) -> Result<Option<News>, String> {
    let number = |value: &Value| value.as_u64().and_then(|number| u32::try_from(number).ok());
    let refusal = |error: &Value| error["message"].as_str().map(str::to_owned);
    if let Some(error) = refusal(&told["Refused"]).or_else(|| refusal(&told["Step"]["Failed"])) {
        return Err(error);
    }
    if told["Hello"].is_object() {
        return Ok(None);
    }
    let begun = number(&told["Step"]["Begun"]["pid"]).map(News::Begun);
    let ended = number(&told["Step"]["Ended"]["status"]).map(News::Ended);
    begun.or(ended).map(Some).ok_or_else(|| "it answers what was not asked".to_owned())
}

/// Pass signals on. Before there is anybody for them, one that asks for the end ends this process, and so the container
/// that is being made.
fn pass_on(signals: &Signals, process: &OnceLock<OwnedFd>) {
    loop {
        let Some(signal) = signals.next(None) else { continue };
        match process.get() {
            Some(process) => send(process, signal),
            None if matches!(signal, libc::SIGTERM | libc::SIGINT | libc::SIGHUP) => {
                std::process::exit(128 + signal)
            }
            None => {}
        }
    }
}

fn send(process: &OwnedFd, signal: libc::c_int) {
    let none: *const libc::siginfo_t = std::ptr::null();
    // SAFETY: takes plain numbers and no information; the descriptor is open.
    unsafe { libc::syscall(libc::SYS_pidfd_send_signal, process.as_raw_fd(), signal, none, 0) };
}

fn descriptor(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: takes plain numbers, and returns a descriptor or -1.
    let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    match i32::try_from(descriptor) {
        // SAFETY: it is new, and nobody else's.
        Ok(descriptor) if descriptor >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(descriptor) }),
        _ => Err(io::Error::last_os_error()),
    }
}

fn wait_for_end(process: &OwnedFd) {
    let mut end = libc::pollfd { fd: process.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // All signals are blocked, so it is not interrupted.
    // SAFETY: it is one structure, which outlives the call.
    unsafe { libc::poll(&raw mut end, 1, -1) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_words_of_the_broker_are_understood() {
        let hello = json!({ "Hello": { "protocol": 1 } });
        assert!(matches!(news(&hello), Ok(None)));
        let begun = json!({ "Step": { "Begun": { "pid": 7 } } });
        assert!(matches!(news(&begun), Ok(Some(News::Begun(7)))));
        let ended = json!({ "Step": { "Ended": { "status": 137 } } });
        assert!(matches!(news(&ended), Ok(Some(News::Ended(137)))));
        for told in [
            json!({ "Refused": { "message": "no" } }),
            json!({ "Step": { "Failed": { "message": "no" } } }),
        ] {
            assert!(news(&told).is_err_and(|error| error == "no"));
        }
        assert!(news(&json!({ "States": [] })).is_err() && news(&json!(7)).is_err());
    }

    #[test]
    fn a_broker_that_dies_leaves_the_record() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let dir = std::env::temp_dir().join(format!("drmaa2-followed-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        Record { exit_code: Some(7), ..Record::default() }.write(&dir).unwrap();
        drop(theirs);
        assert_eq!(follow(ours, &OnceLock::new(), &dir).unwrap(), 7);
        fs::remove_dir_all(dir).unwrap();
    }
}
