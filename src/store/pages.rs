//! Memory for the pages of the database that connections keep.
//!
//! A transaction of another process makes a connection drop all of them. From the heap they would come anew each time,
//! and the heap gives such amounts back to the system at once: most of what a look at the database costs would be
//! that.

use std::cell::UnsafeCell;
use std::sync::Once;

use rusqlite::ffi;

/// A page of SQLite's usual size, with what SQLite keeps beside it.
const PAGE: usize = 4096 + 256;
/// Pages at hand: those of two connections at their limit. SQLite takes more from the heap.
const PAGES: usize = 1024;

#[repr(align(64))]
struct Pool(UnsafeCell<[u8; PAGE * PAGES]>);

// SAFETY: SQLite alone has the address, and uses it behind a lock of its own.
unsafe impl Sync for Pool {}

/// The system gives memory for what is used of it only.
static POOL: Pool = Pool(UnsafeCell::new([0; PAGE * PAGES]));

/// Give SQLite the memory. To be called before the first connection is made, and by one thread at a time.
pub(super) fn provide() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let (size, count) = (PAGE as libc::c_int, PAGES as libc::c_int);
        // SAFETY: the memory is there for as long as the program, aligned, and as large as is said.
        let code =
            unsafe { ffi::sqlite3_config(ffi::SQLITE_CONFIG_PAGECACHE, POOL.0.get(), size, count) };
        if code != ffi::SQLITE_OK {
            tracing::debug!(code, "the pages of the database come from the heap");
        }
    });
}

#[cfg(test)]
mod tests {
    use super::super::jobs_tests::store;
    use super::*;

    #[test]
    fn pages_come_from_the_pool() {
        let (_dir, _store, _session) = store();
        let (mut used, mut most) = (0, 0);
        // SAFETY: both are valid for writes.
        let code = unsafe {
            ffi::sqlite3_status(ffi::SQLITE_STATUS_PAGECACHE_USED, &raw mut used, &raw mut most, 0)
        };
        assert_eq!(code, ffi::SQLITE_OK);
        assert!(used > 0 && most > 0, "{used} {most}");
    }
}
