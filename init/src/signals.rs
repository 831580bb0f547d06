//! Signals as PID 1 takes them: blocked, and fetched one at a time.
//!
//! The kernel drops a signal to PID 1 that has no handler, but keeps a blocked one. So blocking all of
//! them loses none, needs no handler, and never interrupts a call.

use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::time::Instant;

use libc::c_int;

/// All signals, blocked.
pub struct Signals(libc::sigset_t);

impl Signals {
    /// Block every signal.
    pub fn block() -> Self {
        let mut all = MaybeUninit::uninit();
        // SAFETY: sigfillset initialises the set before it is used; setting a mask and a default
        // disposition touches no memory of ours.
        unsafe {
            libc::sigfillset(all.as_mut_ptr());
            let all = all.assume_init();
            libc::sigprocmask(libc::SIG_SETMASK, &all, ptr::null_mut());
            // If SIGCHLD were inherited as ignored, children would vanish without a status.
            libc::signal(libc::SIGCHLD, libc::SIG_DFL);
            Self(all)
        }
    }

    /// Wait for the next signal; `None` when the deadline passes first.
    pub fn next(&self, deadline: Option<Instant>) -> Option<c_int> {
        loop {
            let timeout = deadline.map(|at| {
                let left = at.saturating_duration_since(Instant::now());
                libc::timespec {
                    tv_sec: left.as_secs().try_into().unwrap_or(libc::time_t::MAX),
                    tv_nsec: left.subsec_nanos().into(),
                }
            });
            let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
            // SAFETY: the set and the timeout outlive the call, which writes to no memory of ours.
            let signal = unsafe { libc::sigtimedwait(&self.0, ptr::null_mut(), timeout) };
            if signal > 0 {
                return Some(signal);
            }
            if io::Error::last_os_error().raw_os_error() == Some(libc::EAGAIN) {
                return None;
            }
        }
    }
}

/// Give a new process the signals that it would have had without init.
pub fn reset() {
    let mut none = MaybeUninit::uninit();
    // SAFETY: default dispositions run no code of ours; sigemptyset initialises the set before it
    // is used.
    unsafe {
        for signal in 1..=libc::SIGRTMAX() {
            // Refused for SIGKILL, SIGSTOP and the C library's own, which do not need it.
            libc::signal(signal, libc::SIG_DFL);
        }
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut());
    }
}
