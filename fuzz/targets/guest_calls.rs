//! Messages of a client of the broker, and the attributes of its jobs. What is accepted of a guest gives no more than the
//! site allows.

#![no_main]

use drmaa2::config::Config;
use drmaa2::session::fuzzing;
use libfuzzer_sys::{Corpus, fuzz_target};

thread_local! {
    static SITE: Option<Config> = Config::load().ok();
}

fuzz_target!(|bytes: &[u8]| -> Corpus {
    SITE.with(|site| match site {
        Some(site) => {
            fuzzing::messages(site, bytes);
            fuzzing::attributes(site, bytes);
            Corpus::Keep
        }
        None => Corpus::Reject,
    })
});
