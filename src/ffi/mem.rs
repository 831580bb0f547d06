//! The C heap. All blocks that a caller may free are made here, with `malloc`, and all blocks of callers
//! that the library frees end here, with `free`.

use std::ffi::{CStr, c_char};
use std::ops::{Deref, DerefMut};
use std::{mem, ptr};

use crate::model::{Error, ErrorCode, Result, Text};

use super::instances;
use super::types::drmaa2_string;

/// A public struct: one `malloc` block that owns the targets of its members.
pub(super) trait Block: Sized + 'static {
    /// Release the targets of the members, but not the block.
    ///
    /// # Safety
    /// Every pointer in it is NULL or owned by it, as the library or a caller has set it. The block may
    /// be shorter than `Self`, but not so short that a member owns something beyond its end.
    unsafe fn free_members(this: *mut Self);
}

/// A block that is not handed out yet; dropping it frees it.
pub(super) struct Owned<T: Block>(*mut T);

// SAFETY: nobody else has the block, and malloc and free work on every thread.
unsafe impl<T: Block> Send for Owned<T> {}

impl<T: Block> Owned<T> {
    /// A block that holds `value`.
    pub(super) fn new(value: T) -> Result<Self> {
        Self::with_text(value, b"")
    }

    /// A block that holds `value`, and a string behind it.
    pub(super) fn with_text(mut value: T, text: &[u8]) -> Result<Self> {
        // SAFETY: malloc takes any size; its alignment does for every type without a special one.
        let block: *mut T = unsafe { libc::malloc(size_of::<T>() + text.len() + 1) }.cast();
        if block.is_null() {
            // SAFETY: what `value` owns came from the library.
            unsafe { T::free_members(&raw mut value) };
            return Err(out_of_memory());
        }
        // SAFETY: fresh memory of the right size and alignment.
        unsafe {
            block.write(value);
            let end: *mut u8 = block.add(1).cast();
            ptr::copy_nonoverlapping(text.as_ptr(), end, text.len());
            end.add(text.len()).write(0);
        }
        // Dropping it frees it.
        let new = Self(block);
        if instances::made(block) { Ok(new) } else { Err(out_of_memory()) }
    }

    /// The string behind it.
    pub(super) fn text(&self) -> drmaa2_string {
        // SAFETY: the block was made with room for the string.
        unsafe { self.0.add(1) }.cast()
    }

    /// Hand it to the caller, who frees it from now on.
    pub(super) fn into_raw(self) -> *mut T {
        let block = self.0;
        mem::forget(self);
        block
    }
}

impl<T: Block> Deref for Owned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: written in `new`, and ours alone until `into_raw`.
        unsafe { &*self.0 }
    }
}

impl<T: Block> DerefMut for Owned<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above.
        unsafe { &mut *self.0 }
    }
}

impl<T: Block> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: a block of ours that nobody else has.
        unsafe { free(&raw mut self.0) };
    }
}

/// Free the block behind a caller's variable and set the variable to NULL. Nothing happens if
/// either pointer is NULL.
///
/// # Safety
/// `variable` is NULL or points to a variable that holds NULL or a block made by `malloc`.
pub(super) unsafe fn free<T: Block>(variable: *mut *mut T) {
    // SAFETY: the caller's promise.
    let block = unsafe { take(variable) };
    if block.is_null() {
        return;
    }
    instances::freed(block);
    // SAFETY: the caller's promise; the variable no longer leads here.
    unsafe {
        T::free_members(block);
        libc::free(block.cast());
    }
}

/// The pointer in a caller's variable, which becomes NULL.
///
/// # Safety
/// `variable` is NULL or can be read and written.
pub(super) unsafe fn take<T>(variable: *mut *mut T) -> *mut T {
    if variable.is_null() {
        return ptr::null_mut();
    }
    // SAFETY: the caller's promise.
    unsafe { variable.replace(ptr::null_mut()) }
}

/// Free a string and set its variable to NULL.
///
/// # Safety
/// `variable` is NULL or points to a variable that holds NULL or a `malloc` block.
pub(super) unsafe fn free_string(variable: *mut drmaa2_string) {
    // SAFETY: the caller's promise; free takes NULL.
    unsafe { libc::free(take(variable).cast()) };
}

/// A new C string. It ends at the first NUL of the text.
pub(super) fn string(text: impl AsRef<[u8]>) -> Result<drmaa2_string> {
    let text = text.as_ref();
    let length = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
    // SAFETY: malloc takes any size.
    let block: *mut c_char = unsafe { libc::malloc(length + 1) }.cast();
    if block.is_null() {
        return Err(out_of_memory());
    }
    // SAFETY: the block holds `length` bytes and the NUL, and is not part of `text`.
    unsafe {
        ptr::copy_nonoverlapping(text.as_ptr().cast(), block, length);
        block.add(length).write(0);
    }
    Ok(block)
}

/// A new C string, NULL for nothing.
pub(super) fn optional_string<T: AsRef<[u8]>>(text: Option<T>) -> Result<drmaa2_string> {
    text.map_or(Ok(ptr::null_mut()), string)
}

/// A value on Rust's own heap, which a caller never sees. `Box::new` would end the process if there is no
/// memory.
pub(super) fn boxed<T>(value: T) -> Result<Box<T>> {
    let mut one = Vec::new();
    one.try_reserve_exact(1).map_err(|_| out_of_memory())?;
    one.push(value);
    // SAFETY: a slice of one has the layout of its element.
    Ok(unsafe { Box::from_raw(Box::into_raw(one.into_boxed_slice()).cast()) })
}

/// A copy of a text on Rust's own heap, with the same care.
pub(super) fn text(bytes: &[u8]) -> Result<Text> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(bytes.len()).map_err(|_| out_of_memory())?;
    copy.extend_from_slice(bytes);
    Ok(Text::from(copy))
}

/// The bytes of a caller's string; `None` for NULL.
///
/// # Safety
/// `text` is NULL or NUL-terminated, and does not change as long as the answer is used.
pub(super) unsafe fn bytes<'a>(text: *const c_char) -> Option<&'a [u8]> {
    // SAFETY: the caller's promise.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_bytes())
}

/// A caller's string that may be NULL but must be UTF-8, since it names an object of the library.
///
/// # Safety
/// As [`bytes`].
pub(super) unsafe fn optional_name<'a>(what: &str, text: *const c_char) -> Result<Option<&'a str>> {
    // SAFETY: the caller's promise.
    let bytes = unsafe { bytes(text) };
    bytes
        .map(|bytes| str::from_utf8(bytes).map_err(|_| Error::argument(format!("{what} is not UTF-8"))))
        .transpose()
}

/// A caller's string that must be UTF-8 and not NULL.
///
/// # Safety
/// As [`bytes`].
pub(super) unsafe fn name<'a>(what: &str, text: *const c_char) -> Result<&'a str> {
    // SAFETY: the caller's promise.
    unsafe { optional_name(what, text) }?.ok_or_else(|| null(what))
}

/// The error for a NULL `what`.
pub(super) fn null(what: &str) -> Error {
    Error::argument(format!("{what} is NULL"))
}

/// The error for exhausted memory; without its text, if there is not even memory for that.
pub(super) fn out_of_memory() -> Error {
    const TEXT: &str = "out of memory";
    let mut message = String::new();
    if message.try_reserve_exact(TEXT.len()).is_ok() {
        message.push_str(TEXT);
    }
    Error::new(ErrorCode::OutOfResource, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_goes_to_c_and_back() {
        for text in [&b""[..], b"plain", b"\xff\xfe"] {
            let mut copy = string(text).unwrap();
            // SAFETY: just made.
            unsafe {
                assert_eq!(bytes(copy), Some(text));
                free_string(&raw mut copy);
            }
            assert!(copy.is_null());
        }
    }

    #[test]
    fn a_string_ends_at_its_first_nul() {
        let mut copy = string(b"ab\0cd").unwrap();
        // SAFETY: just made.
        unsafe {
            assert_eq!(bytes(copy), Some(&b"ab"[..]));
            free_string(&raw mut copy);
        }
    }

    #[test]
    fn names_are_utf8_and_errors_say_whose_is_not() {
        // SAFETY: literals.
        let name_of = |text: *const c_char| unsafe { name("session name", text) };
        assert_eq!(name_of(c"ok".as_ptr()), Ok("ok"));
        for bad in [ptr::null(), c"\xff".as_ptr()] {
            let error = name_of(bad).unwrap_err();
            assert_eq!(error.code, ErrorCode::InvalidArgument);
            assert!(error.message.starts_with("session name is "), "{error}");
        }
    }
}
