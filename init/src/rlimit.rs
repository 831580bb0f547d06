//! The kernel's limits of a process.

use std::io;

use drmaa2_init::{OPEN_FILES, Order, Rlimit};

use crate::failure::{Failure, check};

/// Raise hard limits that are too low, while this process may do so. A limit that cannot be raised is
/// refused by [`set`], which names it.
pub(crate) fn raise(limits: &[Rlimit]) {
    for limit in limits {
        if let Some(mut now) = current(limit.number).filter(|now| limit.hard > now.rlim_max) {
            now.rlim_max = limit.hard;
            // SAFETY: `now` is valid for reads.
            unsafe { libc::setrlimit(limit.number as _, &now) };
        }
    }
}

/// This process's limit of a resource, if the kernel knows it.
fn current(number: u32) -> Option<libc::rlimit> {
    let mut now = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `now` is valid for writes.
    let known = unsafe { libc::getrlimit(number as _, &mut now) } == 0;
    known.then_some(now)
}

/// Limit this process and its children.
pub(crate) fn set(limits: &[Rlimit]) -> Result<(), Failure> {
    if !limits.iter().any(|limit| limit.number == libc::RLIMIT_NOFILE) {
        limit_open_files();
    }
    for limit in limits {
        let wanted = libc::rlimit { rlim_cur: limit.soft, rlim_max: limit.hard };
        // SAFETY: the limits are valid for reads.
        let refused = check(unsafe { libc::setrlimit(limit.number as _, &wanted) });
        refused.map_err(|error| failure(limit, &error))?;
    }
    Ok(())
}

/// Lower the limit of open files to the usual one, unless it is lower already. The job may raise it
/// again.
fn limit_open_files() {
    if let Some(mut now) = current(libc::RLIMIT_NOFILE).filter(|now| now.rlim_cur > OPEN_FILES) {
        now.rlim_cur = OPEN_FILES;
        // SAFETY: `now` is valid for reads. Every process may lower its limit.
        unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &now) };
    }
}

fn failure(limit: &Rlimit, error: &io::Error) -> Failure {
    let name = &limit.name;
    match limit.hard {
        libc::RLIM_INFINITY => Failure::new(format_args!("no limit for {name}"), error),
        value => Failure::new(format_args!("limit {name} of {value}"), error),
    }
}

/// The limit that a command exceeded, if it is one with a signal of its own. A shell reports the signal
/// that ended its last command as its own exit code.
pub(crate) fn exceeded(order: &Order, status: i32) -> Option<String> {
    let signal = match libc::WIFSIGNALED(status) {
        true => libc::WTERMSIG(status),
        false => libc::WEXITSTATUS(status) - 128,
    };
    let (number, what, unit) = match signal {
        libc::SIGXFSZ => (libc::RLIMIT_FSIZE, "file size", "bytes"),
        libc::SIGXCPU => (libc::RLIMIT_CPU, "CPU time", "s"),
        _ => return None,
    };
    Some(text(limit_of(order, number)?, what, unit))
}

/// The largest size of a file of the job in bytes, and the text of the failure beyond it.
pub(crate) fn file_size(order: &Order) -> Option<(u64, String)> {
    let limit = limit_of(order, libc::RLIMIT_FSIZE)?;
    (limit.soft != libc::RLIM_INFINITY).then(|| (limit.soft, text(limit, "file size", "bytes")))
}

fn limit_of(order: &Order, number: libc::__rlimit_resource_t) -> Option<&Rlimit> {
    order.rlimits.iter().find(|limit| u64::from(limit.number) == u64::from(number))
}

fn text(limit: &Rlimit, what: &str, unit: &str) -> String {
    format!("exceeded its {what} limit ({}) of {} {unit}", limit.name, limit.soft)
}
