//! Names of images. What is taken for one is the same name when it is written in full.

#![no_main]

use drmaa2::registry::Name;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(name) = Name::parse(text) {
        let full = name.to_string();
        assert_eq!(Name::parse(&full), Ok(name), "{full}");
    }
});
