//! `drmaa2d`, the agent as a program: its arguments, and the state that it keeps of its parent process.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, IntoRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;

use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use nix::sys::stat::{Mode, umask};

use crate::agent::{LOCK_FD, Lock, STATE_DIR, scope};
use crate::config::Config;
use crate::model::{Error, ErrorCode, Result};
use crate::spawn::DESCRIPTOR;
use crate::{drms, session};

const USAGE: &str = "\
usage: drmaa2d --service
       drmaa2d --lock-fd FD
       drmaa2d --mail NUMBER CLAIM
       drmaa2d --help | --version

Sees to the DRMAA2 jobs of one state directory when the programs that submitted
them have gone.

  --service     wait until no other agent is there, and never leave
  --lock-fd FD  FD is the locked drmaa2d.lock; leave when nothing is to be done.
                This is how libdrmaa2 starts it; nobody else needs to.
  --mail NUMBER CLAIM
                send a mail about a job; started by libdrmaa2 as well

Configured as libdrmaa2 is, by drmaa2.toml and DRMAA2_* variables.
";

/// The log of an agent that a library has started, in the state directory.
const LOG: &str = "drmaa2d.log";

/// The mode of the call.
#[derive(Debug, PartialEq, Eq)]
enum Call {
    /// `--service`
    Service,
    /// `--lock-fd`
    OnDemand(RawFd),
    /// `--mail`, its number and the holder of its claim
    Mail(i64, String),
    Help,
    Version,
}

/// The program. Returns its exit status.
pub fn main() -> i32 {
    if let Err(error) = prepare() {
        eprintln!("drmaa2d: {error}");
        return 1;
    }
    let done = match parse(env::args_os().skip(1)) {
        Some(Call::Help) => {
            print!("{USAGE}");
            return 0;
        }
        Some(Call::Version) => {
            println!("drmaa2d {}", env!("CARGO_PKG_VERSION"));
            return 0;
        }
        None => {
            eprint!("{USAGE}");
            return 2;
        }
        Some(Call::Service) => service(),
        Some(Call::OnDemand(descriptor)) => on_demand(descriptor),
        Some(Call::Mail(number, claim)) => mail(number, &claim),
    };
    match done {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("drmaa2d: {error}");
            1
        }
    }
}

/// What the start of a Rust program does, and that of a C program leaves: no file that is opened later is taken for a
/// standard stream, and a peer that goes ends no process.
fn prepare() -> io::Result<()> {
    loop {
        let null = File::options().read(true).write(true).open("/dev/null")?;
        if null.as_raw_fd() > 2 {
            break;
        }
        // It is the stream from now on.
        let _ = null.into_raw_fd();
    }
    // SAFETY: no handler runs.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigIgn) }?;
    Ok(())
}

fn parse(arguments: impl Iterator<Item = OsString>) -> Option<Call> {
    let arguments: Vec<String> =
        arguments.map(OsString::into_string).collect::<std::result::Result<_, _>>().ok()?;
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--service"] => Some(Call::Service),
        ["--help"] => Some(Call::Help),
        ["--version"] => Some(Call::Version),
        [LOCK_FD, descriptor] => {
            descriptor.parse().ok().filter(|descriptor| *descriptor > 2).map(Call::OnDemand)
        }
        [session::SEND_MAIL, number, claim] => {
            number.parse().ok().map(|number| Call::Mail(number, claim.to_owned()))
        }
        _ => None,
    }
}

/// The environment comes from a service manager, which also keeps the output on standard error.
fn service() -> Result<()> {
    umask(Mode::S_IRWXG | Mode::S_IRWXO);
    drms::start_log();
    session::serve(Config::load()?, None)
}

/// Nothing of the process that happened to submit a job may last as long as the agent.
fn on_demand(descriptor: RawFd) -> Result<()> {
    let lock = Lock::inherited(descriptor)?;
    // Before the directory changes: DRMAA2_CONFIG may be a relative path.
    let config = Config::load()?;
    umask(Mode::S_IRWXG | Mode::S_IRWXO);
    let os =
        |what: &str, error: io::Error| Error::new(ErrorCode::of_own(&error), format!("{what}: {error}"));
    redirect(&config).map_err(|error| os("standard streams", error))?;
    close_others(descriptor).map_err(|error| os("inherited descriptors", error))?;
    env::set_current_dir("/").map_err(|error| os("/", error))?;
    drms::start_log();
    // The library has started it with every signal blocked, so a signal that ends its unit does not end
    // it yet.
    if let Err(error) = scope::enter() {
        tracing::warn!(%error, "the agent stays in the control group of the program that started it");
    }
    // Signals end the agent: it has nothing to lose, since all state is in the store.
    SigSet::empty().thread_set_mask().map_err(|error| os("signals", error.into()))?;
    session::serve(config, Some(lock))
}

/// The library's lifeline must not pass to programs that this process starts: they may have children
/// that stay.
fn mail(number: i64, claim: &str) -> Result<()> {
    // SAFETY: a plain number; an error means that there is no such descriptor.
    unsafe { libc::fcntl(DESCRIPTOR, libc::F_SETFD, libc::FD_CLOEXEC) };
    let state_dir =
        env::var_os(STATE_DIR).ok_or_else(|| Error::argument(format!("{STATE_DIR} is not set")))?;
    session::send_mail(state_dir.as_ref(), number, claim)
}

/// Standard streams are `/dev/null`; if there is a log, standard error is that.
fn redirect(config: &Config) -> io::Result<()> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    let mut streams = [&null, &null, &null];
    let log;
    if env::var_os("DRMAA2_LOG").is_some_and(|filter| !filter.is_empty()) {
        let path = config.state_dir.join(LOG);
        log = File::options().append(true).create(true).mode(0o600).open(path)?;
        streams[2] = &log;
    }
    for (number, file) in (0..).zip(streams) {
        // SAFETY: both descriptors are open, or about to be; the standard ones have no owner.
        if unsafe { libc::dup2(file.as_raw_fd(), number) } == -1 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Close every descriptor but the standard ones and `kept`.
fn close_others(kept: RawFd) -> io::Result<()> {
    for (first, last) in [(3, kept.unsigned_abs() - 1), (kept.unsigned_abs() + 1, u32::MAX)] {
        if first > last {
            continue;
        }
        // SAFETY: this process has opened nothing yet that it still needs; the rest came from outside.
        if unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } == -1 {
            return close_each(kept);
        }
    }
    Ok(())
}

/// The same for a kernel that has no `close_range`.
fn close_each(kept: RawFd) -> io::Result<()> {
    let open: Vec<RawFd> = fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    for descriptor in open.into_iter().filter(|descriptor| *descriptor > 2 && *descriptor != kept) {
        // SAFETY: as above. That of the listing is closed already, which is a harmless error.
        unsafe { libc::close(descriptor) };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(arguments: &[&str]) -> Option<Call> {
        parse(arguments.iter().map(OsString::from))
    }

    #[test]
    fn arguments_are_one_of_five_calls_or_a_mistake() {
        assert_eq!(call(&["--service"]), Some(Call::Service));
        assert_eq!(call(&["--lock-fd", "3"]), Some(Call::OnDemand(3)));
        assert_eq!(call(&["--mail", "7", "1 2 3"]), Some(Call::Mail(7, "1 2 3".to_owned())));
        assert_eq!(call(&["--help"]), Some(Call::Help));
        assert_eq!(call(&["--version"]), Some(Call::Version));
        for wrong in [
            &[][..],
            &["--lock-fd"],
            &["--lock-fd", "x"],
            &["--lock-fd", "2"],
            &["--lock-fd", "-1"],
            &["--service", "--service"],
            &["serve"],
            &["--mail", "7"],
            &["--mail", "x", "1 2 3"],
        ] {
            assert_eq!(call(wrong), None, "{wrong:?}");
        }
    }
}
