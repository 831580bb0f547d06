//! The wall between C and Rust. Every exported function runs inside one of these: a panic ends here as
//! DRMAA2_INTERNAL, and the last error of the thread is set only here.

use std::any::Any;
use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use crate::model::{Error, ErrorCode, Result};

use super::enums::drmaa2_error;

thread_local! {
    /// The error of the last call on this thread; `None` if it succeeded. It exists until the very last
    /// moment of the thread, since it has no destructor: exit handlers may ask.
    static LAST: Cell<Option<ManuallyDrop<Error>>> = const { Cell::new(None) };
    /// Drops it.
    static SWEEPER: Sweeper = const { Sweeper };
}

struct Sweeper;

impl Drop for Sweeper {
    fn drop(&mut self) {
        set_last(None);
    }
}

/// Replace the last error of this thread.
fn set_last(last: Option<Error>) {
    // A call after the sweeper, from an exit handler for instance, leaves at most one error behind.
    let _ = SWEEPER.try_with(|_| ());
    drop(LAST.replace(last.map(ManuallyDrop::new)).map(ManuallyDrop::into_inner));
}

/// A call that returns its error code.
pub(super) fn status(body: impl FnOnce() -> Result<()>) -> drmaa2_error {
    run(body).map_or_else(|code| code, |()| ErrorCode::Success) as drmaa2_error
}

/// A call that returns a value, and `failed` on error.
pub(super) fn value<T>(failed: T, body: impl FnOnce() -> Result<T>) -> T {
    run(body).unwrap_or(failed)
}

/// A call that returns a pointer, and NULL on error.
pub(super) fn pointer<T>(body: impl FnOnce() -> Result<*mut T>) -> *mut T {
    run(body).unwrap_or(ptr::null_mut())
}

/// A call that does not change the last error: callers free objects, and ask for the error itself,
/// between the failed call and the question for its reason.
pub(super) fn quiet<T>(failed: T, body: impl FnOnce() -> T) -> T {
    caught(body).unwrap_or(failed)
}

/// Look at the last error of this thread.
pub(super) fn with_last<T>(look: impl FnOnce(Option<&Error>) -> T) -> T {
    // Taken out and put back, so that no borrow can conflict with a call from inside `look`.
    let last = LAST.take().map(ManuallyDrop::into_inner);
    let answer = look(last.as_ref());
    set_last(last);
    answer
}

fn run<T>(body: impl FnOnce() -> Result<T>) -> std::result::Result<T, ErrorCode> {
    let result = caught(body).and_then(|result| result);
    let (result, last) = match result {
        Ok(value) => (Ok(value), None),
        Err(error) => (Err(error.code), Some(error)),
    };
    set_last(last);
    result
}

/// A half-done change that a panic leaves behind is confined to the objects of this one call:
/// shared state is behind locks that are never held across a call out.
fn caught<T>(body: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(body)).map_err(|payload| {
        let error = Error::internal(format!("panic: {}", message(payload.as_ref())));
        // Dropping it could panic again; a panic is rare enough to leak it.
        std::mem::forget(payload);
        error
    })
}

fn message(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("of unknown cause")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last() -> Option<(ErrorCode, String)> {
        with_last(|error| error.map(|error| (error.code, error.message.clone())))
    }

    #[test]
    fn a_panic_becomes_an_internal_error_with_its_message() {
        assert_eq!(status(|| panic!("expected by the {}", "test")), ErrorCode::Internal as i32);
        assert_eq!(last(), Some((ErrorCode::Internal, "panic: expected by the test".into())));
        assert_eq!(value(-1, || panic!("expected by the test")), -1);
        assert_eq!(pointer::<u8>(|| panic!("expected by the test")), ptr::null_mut());
        assert_eq!(quiet(7, || panic!("expected by the test")), 7);
    }

    #[test]
    fn a_success_forgets_the_error_before() {
        assert_eq!(value(-1, || Err(Error::argument("no such thing"))), -1);
        assert_eq!(last(), Some((ErrorCode::InvalidArgument, "no such thing".into())));
        assert_eq!(value(-1, || Ok(1)), 1);
        assert_eq!(last(), None);
    }

    #[test]
    fn a_quiet_call_leaves_the_last_error_alone() {
        status(|| Err(Error::argument("first")));
        quiet((), || ());
        quiet((), || panic!("expected by the test"));
        assert_eq!(last(), Some((ErrorCode::InvalidArgument, "first".into())));
    }

    #[test]
    fn a_call_from_inside_a_call_is_no_trouble() {
        let outer = status(|| {
            status(|| Err(Error::argument("inner")));
            Ok(())
        });
        assert_eq!((outer, last()), (0, None));
    }
}
