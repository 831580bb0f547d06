//! A manifest or an index, and a configuration behind the first empty line.

#![no_main]

use drmaa2::containerd::fuzzing::documents;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let end = data.windows(2).position(|two| two == b"\n\n").unwrap_or(data.len());
    documents(&data[..end], &data[end..]);
});
