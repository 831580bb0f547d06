//! The job's standard streams: its files, or the pipes that lead into them.

use std::ffi::OsStr;
use std::fs::{Metadata, OpenOptions};
use std::io::{self, PipeWriter};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};

use drmaa2_init::Order;

use crate::failure::{Failure, check};
use crate::output::Pipes;

/// Put the order's files, or the pipes to them, in place of the standard streams.
///
/// Files are opened as root, before the process becomes the job's user: the submitter's rights to them
/// were checked at submission, and before this call that they are still the same files.
pub(crate) fn connect(order: &Order, pipes: &Pipes) -> Result<(), Failure> {
    redirect("input", &order.stdin, OpenOptions::new().read(true), libc::STDIN_FILENO)?;
    write_to("output", pipes.stdout.as_ref(), &order.stdout, libc::STDOUT_FILENO)?;
    if order.join {
        duplicate(&io::stdout(), libc::STDERR_FILENO)
            .map_err(|error| Failure::new("joined error output", &error))?;
    } else {
        write_to("error output", pipes.stderr.as_ref(), &order.stderr, libc::STDERR_FILENO)?;
    }
    close_others_on_exec();
    Ok(())
}

/// Descriptors that a runtime may have left open do not belong to the job: one of a host directory would
/// be a way out of the container.
fn close_others_on_exec() {
    // SAFETY: marks descriptors and closes none. A kernel before 5.11 refuses; that is tolerated.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
}

fn write_to(what: &str, pipe: Option<&PipeWriter>, path: &[u8], to: i32) -> Result<(), Failure> {
    match pipe {
        Some(pipe) => duplicate(pipe, to).map_err(|error| Failure::new(what, &error)),
        None => redirect(what, path, OpenOptions::new().append(true), to),
    }
}

fn redirect(what: &str, path: &[u8], options: &mut OpenOptions, to: i32) -> Result<(), Failure> {
    let null = path.is_empty();
    let path = OsStr::from_bytes(if null { b"/dev/null" } else { path });
    let mut connect = || {
        // A terminal opened by a session leader would become its controlling terminal.
        let file = options.custom_flags(libc::O_NOCTTY).open(path)?;
        // A file of the host may be mounted there, which the job's user could not open.
        if null && !is_null_device(&file.metadata()?) {
            return Err(io::Error::other("it is not the null device"));
        }
        duplicate(&file, to)
    };
    connect().map_err(|error| Failure::new(format_args!("{what} \"{}\"", path.display()), &error))
}

fn is_null_device(metadata: &Metadata) -> bool {
    metadata.file_type().is_char_device() && metadata.rdev() == libc::makedev(1, 3)
}

/// The copy stays open across exec, the original does not.
fn duplicate(file: &impl AsRawFd, to: i32) -> io::Result<()> {
    // SAFETY: the descriptor is open as long as `file` lives, and nothing owns `to`.
    check(unsafe { libc::dup2(file.as_raw_fd(), to) })
}
