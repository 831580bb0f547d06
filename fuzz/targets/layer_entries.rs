//! The archive of a layer, as it is before a file is made.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|archive: &[u8]| drmaa2::containerd::fuzzing::layer(archive));
