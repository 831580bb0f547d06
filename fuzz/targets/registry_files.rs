//! The texts that say how a registry is spoken to: a `hosts.toml`, a file with credentials, the challenges
//! of an answer. The first byte tells which.

#![no_main]

use drmaa2::registry::{Name, fuzzing};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(name) = Name::parse("quay.io/team/app:1") else { return };
    let Some((which, rest)) = data.split_first() else { return };
    let text = String::from_utf8_lossy(rest);
    match which {
        b'a' => fuzzing::auth_file(rest, &name),
        b'c' => fuzzing::challenges(&text),
        _ => fuzzing::hosts_file(&text, &name),
    }
});
