//! The capabilities that the job does not get.

use std::io;

use crate::failure::{Failure, check};

/// Drop these capabilities, by number, from the bounding set: no program that this process or its
/// children execute can have them, even as root.
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
