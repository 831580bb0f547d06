//! The entry of the agent's program, which is this library and a `main` (`src/bin/drmaa2d.c`). It is no part of the API:
//! no header declares it, and it may change with any version.

use std::ffi::c_int;

use super::guard;
use crate::daemon;

/// Be the agent, with the arguments of the process. Returns the exit status.
#[unsafe(no_mangle)]
pub extern "C" fn drmaa2d_main() -> c_int {
    guard::quiet(1, daemon::main)
}
