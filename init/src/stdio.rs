//! The job's standard streams: files the job reads and writes itself, with nobody in between.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;

use drmaa2_init::Order;

use crate::child::{Failure, check};

/// Put the order's files in place of the standard streams.
///
/// They are opened as root, before the job's user is taken on: the submitter's rights to them were
/// checked where he created them.
pub(crate) fn connect(order: &Order) -> Result<(), Failure> {
    redirect("input", &order.stdin, OpenOptions::new().read(true), libc::STDIN_FILENO)?;
    redirect("output", &order.stdout, OpenOptions::new().append(true), libc::STDOUT_FILENO)?;
    if order.join {
        duplicate(&io::stdout(), libc::STDERR_FILENO)
            .map_err(|error| Failure::new("joined error output", &error))?;
    } else {
        redirect("error output", &order.stderr, OpenOptions::new().append(true), libc::STDERR_FILENO)?;
    }
    close_others_on_exec();
    Ok(())
}

/// What else a runtime may have left open is none of the job's business: a descriptor of a host
/// directory would be a way out of the container.
fn close_others_on_exec() {
    // SAFETY: marks descriptors and closes none. A kernel before 5.11 refuses, and does without.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
}

fn redirect(what: &str, path: &[u8], options: &mut OpenOptions, to: i32) -> Result<(), Failure> {
    let path = OsStr::from_bytes(if path.is_empty() { b"/dev/null" } else { path });
    // A terminal opened by a session leader would become its controlling terminal.
    let opened: io::Result<File> = options.custom_flags(libc::O_NOCTTY).open(path);
    opened
        .and_then(|file| duplicate(&file, to))
        .map_err(|error| Failure::new(format_args!("{what} \"{}\"", path.display()), &error))
}

/// The copy stays open across exec, the original does not.
fn duplicate(file: &impl AsRawFd, to: i32) -> io::Result<()> {
    // SAFETY: the descriptor is open as long as `file` lives, and nothing owns `to`.
    check(unsafe { libc::dup2(file.as_raw_fd(), to) })
}
