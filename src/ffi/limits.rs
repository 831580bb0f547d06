//! The names of resource limits, which C has as data.

use std::ffi::{CStr, c_char};

/// A pointer to a constant string. A reference, since a static raw pointer is not `Sync`.
///
/// cbindgen:ignore
const fn name(text: &'static CStr) -> &'static c_char {
    // SAFETY: a C string has at least its NUL.
    unsafe { &*text.as_ptr() }
}

/// Largest core dump, kilobytes; 0 for none. These are keys of resourceLimits in a job template.
#[unsafe(no_mangle)]
pub static DRMAA2_CORE_FILE_SIZE: &c_char = name(c"CORE_FILE_SIZE");

/// Accumulated CPU time, seconds.
#[unsafe(no_mangle)]
pub static DRMAA2_CPU_TIME: &c_char = name(c"CPU_TIME");

/// Data segment, kilobytes.
#[unsafe(no_mangle)]
pub static DRMAA2_DATA_SIZE: &c_char = name(c"DATA_SIZE");

/// Largest file written, kilobytes.
#[unsafe(no_mangle)]
pub static DRMAA2_FILE_SIZE: &c_char = name(c"FILE_SIZE");

/// Open file descriptors.
#[unsafe(no_mangle)]
pub static DRMAA2_OPEN_FILES: &c_char = name(c"OPEN_FILES");

/// Stack, kilobytes.
#[unsafe(no_mangle)]
pub static DRMAA2_STACK_SIZE: &c_char = name(c"STACK_SIZE");

/// Allocatable memory, kilobytes.
#[unsafe(no_mangle)]
pub static DRMAA2_VIRTUAL_MEMORY: &c_char = name(c"VIRTUAL_MEMORY");

/// Time in started states, seconds.
#[unsafe(no_mangle)]
pub static DRMAA2_WALLCLOCK_TIME: &c_char = name(c"WALLCLOCK_TIME");
