//! The capabilities that the job does not get.

use std::io;

use crate::child::{Failure, check};

/// Take these capabilities, by their numbers, from what this process and its children can ever have:
/// also root gets no more than that when it executes a program.
pub(crate) fn give_up(capabilities: &[u32]) -> Result<(), Failure> {
    for capability in capabilities {
        // SAFETY: takes numbers alone.
        let dropped = check(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, *capability, 0, 0, 0) });
        match dropped {
            // The kernel knows no such capability.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
            Err(error) => return Err(Failure::new(format_args!("capability {capability}"), &error)),
            Ok(()) => {}
        }
    }
    Ok(())
}
