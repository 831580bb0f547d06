//! The lifeline of a job: a FIFO that the program under which it was started holds open. Once nobody has it open,
//! the job is killed: whatever ended that program could not reach the processes of a container.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use drmaa2_init::{Record, family};

use crate::failure::check;

/// Stack of the thread, which has little to remember.
const STACK: usize = 128 * 1024;

static WAS_CUT: AtomicBool = AtomicBool::new(false);

/// Kill the job when the FIFO at this path has no writer any more; nothing if there is no path. What cannot be
/// watched is as good as cut.
pub(crate) fn hold(path: &[u8]) {
    if path.is_empty() {
        return;
    }
    let path = OsStr::from_bytes(path).to_owned();
    let watch = move || {
        // Until its end, or a failure.
        let _ = wait_for_end(Path::new(&path));
        cut();
    };
    if thread::Builder::new().stack_size(STACK).spawn(watch).is_err() {
        cut();
    }
}

/// Wait until nobody has the FIFO open for writing, which may be so already.
fn wait_for_end(path: &Path) -> io::Result<()> {
    // Opened in the usual way, it would wait for a writer, who may have come and gone.
    let mut fifo = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    // SAFETY: takes plain numbers; the descriptor is open.
    check(unsafe { libc::fcntl(fifo.as_raw_fd(), libc::F_SETFL, 0) })?;
    io::copy(&mut fifo, &mut io::sink()).map(drop)
}

fn cut() {
    // A job of which nothing is left has ended by itself.
    if family::members().len() > 1 {
        WAS_CUT.store(true, Ordering::SeqCst);
    }
    family::kill_all();
}

/// Add the reason to the record of a job that was killed for this: with its command, or when only processes were left
/// that had outlived it.
pub(crate) fn explain(record: &mut Record) {
    let by_another = record.signal.is_some_and(|signal| signal != libc::SIGKILL);
    if WAS_CUT.load(Ordering::SeqCst) && !by_another && record.reason.is_none() {
        record.reason = Some(b"killed: the program that it was started under was killed".to_vec());
        record.interrupted = true;
    }
}
