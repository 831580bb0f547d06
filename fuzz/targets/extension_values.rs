//! The values of a job template's implementation-specific attributes: `NAME VALUE;NAME VALUE`, the names
//! without their prefix.

#![no_main]

use drmaa2::model::extensions::PREFIX;
use drmaa2::model::{JobTemplate, Text};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let pairs = data.split(|byte| *byte == b';').filter_map(|pair| {
        let at = pair.iter().position(|byte| *byte == b' ')?;
        let name = String::from_utf8_lossy(&pair[..at]);
        Some((format!("{PREFIX}{name}"), Text::from(&pair[at + 1..])))
    });
    let template = JobTemplate { extensions: pairs.collect(), ..JobTemplate::default() };
    let _ = template.extensions();
});
