//! The files that the library and `drmaa2-init` exchange. A job that runs as root can write what it likes
//! into its record; what is read of it can be written and read again.

#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use drmaa2_init::{ORDER_FILE, Order, RECORD_FILE, Record};
use libfuzzer_sys::fuzz_target;

/// Better in memory: each file that is written is brought to stable storage.
static DIR: LazyLock<PathBuf> = LazyLock::new(|| {
    let dir = std::env::temp_dir().join("init_files");
    assert!(fs::create_dir_all(&dir).is_ok());
    dir
});

fuzz_target!(|data: &[u8]| {
    let dir = DIR.as_path();
    for file in [ORDER_FILE, RECORD_FILE] {
        assert!(fs::write(dir.join(file), data).is_ok());
    }
    if let Ok(order) = Order::read(dir) {
        assert!(order.write(dir).is_ok());
        assert_eq!(Order::read(dir).ok(), Some(order));
    }
    if let Ok(record) = Record::read(dir) {
        assert!(record.write(dir).is_ok());
        assert_eq!(Record::read(dir).ok(), Some(record));
    }
});
