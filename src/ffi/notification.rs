//! Notifications: from what happened to a job to a call of the application's function.

use std::fs;
use std::ptr;
use std::sync::Arc;

use crate::model::{Error, Result};
use crate::session::{self, Notification};

use super::enums::{Event, drmaa2_error, drmaa2_event, drmaa2_jstate};
use super::guard;
use super::infos::{drmaa2_notification, drmaa2_notification_s};
use super::mem::{self, Owned};

/// Takes a notification, which is the callee's from then on: free it with
/// drmaa2_notification_free.
pub type drmaa2_callback = Option<unsafe extern "C" fn(notification: *mut drmaa2_notification)>;

/// Have a function called whenever a job comes into a state, whichever process brings that about
/// (GFD.231, SessionManager). It concerns the jobs of the job sessions that are open in this process,
/// and all jobs that are stored with them while a monitoring session is open; what happened before is not told.
///
/// callback: the one function that is called from here on; it replaces the one before, and NULL is
/// none. With NULL a call that is under way is waited for, unless it is the one that asks; so hold
/// nothing then that the callback waits for. Each call hands over a notification that is
/// the callee's, to be freed with drmaa2_notification_free. Calls come one at a time, in the order of
/// the events, on a thread of the library on which all signals are blocked; the event of a job may
/// come before the call that submits the job has returned. The callback may call every function of
/// this library, this one too. It must not throw, and a child that is forked has no callback.
///
/// DRMAA2_INVALID_ARGUMENT if callback is not the address of code.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_register_event_notification(callback: drmaa2_callback) -> drmaa2_error {
    guard::status(|| {
        let Some(function) = callback else { return session::notify(None) };
        check_code(function as usize)?;
        session::notify(Some(Arc::new(move |told| match notification(told) {
            Ok(block) => {
                let mut block = block.into_raw();
                // SAFETY: it is code, which the caller has handed over to be called in this way. The
                // block is the callee's from here on.
                unsafe { function(&raw mut block) };
            }
            Err(error) => tracing::error!(job = %told.job, %error, "a callback is not called"),
        })))
    })
}

fn notification(told: &Notification) -> Result<Owned<drmaa2_notification_s>> {
    let mut block = Owned::new(drmaa2_notification_s {
        event: Event::DRMAA2_NEW_STATE as drmaa2_event,
        jobId: ptr::null_mut(),
        sessionName: ptr::null_mut(),
        jobState: told.state as drmaa2_jstate,
        implementationSpecific: ptr::null_mut(),
    })?;
    block.jobId = mem::string(&told.job)?;
    block.sessionName = mem::optional_string(told.session.as_ref())?;
    Ok(block)
}

/// INVALID_ARGUMENT if there is no code at this address. One binding passes the address of a variable
/// that holds the function's address, and calling that would end the process.
fn check_code(address: usize) -> Result<()> {
    // Not the file of the process: it is empty once the first thread has ended.
    let Ok(maps) = fs::read("/proc/thread-self/maps") else {
        // Unknown without the file.
        return Ok(());
    };
    let is_code = String::from_utf8_lossy(&maps).lines().any(|line| holds_code(line, address));
    if is_code { Ok(()) } else { Err(Error::argument("callback is not the address of code")) }
}

/// Returns whether the address is in this mapping, and the mapping is executable.
fn holds_code(mapping: &str, address: usize) -> bool {
    let mut fields = mapping.split_ascii_whitespace();
    let (Some(range), Some(permissions)) = (fields.next(), fields.next()) else { return false };
    let number = |text| usize::from_str_radix(text, 16).ok();
    let bounds = range.split_once('-').and_then(|(from, to)| Some(number(from)?..number(to)?));
    permissions.contains('x') && bounds.is_some_and(|bounds| bounds.contains(&address))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::model::{ErrorCode, JobState};

    #[test]
    fn a_notification_says_what_has_happened_to_which_job() {
        for session in [None, Some("s".to_owned())] {
            let told =
                Notification { job: "01j".into(), session: session.clone(), state: JobState::Suspended };
            let block = notification(&told).unwrap();
            assert_eq!((block.event, block.jobState), (0, 4));
            // SAFETY: just made.
            unsafe {
                assert_eq!(mem::bytes(block.jobId), Some(&b"01j"[..]));
                assert_eq!(mem::bytes(block.sessionName), session.as_ref().map(String::as_bytes));
            }
        }
    }

    #[test]
    fn a_function_is_code_and_what_holds_its_address_is_not() {
        let function = a_function_is_code_and_what_holds_its_address_is_not as fn() as usize;
        let on_heap = Box::new(function);
        static IN_DATA: AtomicUsize = AtomicUsize::new(0);
        assert_eq!(check_code(function), Ok(()));
        let cells = [&raw const function, &raw const *on_heap, IN_DATA.as_ptr()];
        for address in cells.map(|cell| cell as usize).into_iter().chain([1, usize::MAX]) {
            assert_eq!(check_code(address).unwrap_err().code, ErrorCode::InvalidArgument);
        }
    }

    #[test]
    fn a_mapping_holds_what_is_in_its_bounds_if_it_may_be_executed() {
        let code = "7f00-8000 r-xp 00001000 fe:00 42                  /usr/lib/a b.so";
        assert!(holds_code(code, 0x7f00) && holds_code(code, 0x7fff));
        assert!(!holds_code(code, 0x7eff) && !holds_code(code, 0x8000));
        assert!(!holds_code("7f00-8000 rw-p 00001000 fe:00 42", 0x7f00));
        assert!(!holds_code("", 0) && !holds_code("x-y r-xp", 0));
    }
}
