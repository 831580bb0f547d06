//! The structs and handles that the library has made. No call of the reflection tells the kind of struct
//! of an instance, and an attribute of another kind would be accessed beyond its end. For the library's
//! own objects the kind is known here; for those of a caller, the caller's statement counts.

use std::any::TypeId;
use std::cell::Cell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::atomic::AtomicBool;

use crate::fork;
use crate::sync::{Mutex, MutexGuard};

/// The existing objects by address, until they are freed. No other lock is taken under this one.
type Table = HashMap<usize, TypeId, BuildHasherDefault<DefaultHasher>>;

static MADE: Mutex<Table> = Mutex::new(HashMap::with_hasher(BuildHasherDefault::new()));
static HANDLERS: AtomicBool = AtomicBool::new(false);

thread_local! {
    static HELD: fork::Place<MutexGuard<'static, Table>> = const { Cell::new(None) };
}

/// Make room for so many more blocks at once. False if there is no memory to do so.
pub(super) fn expect(count: usize) -> bool {
    MADE.lock().try_reserve(count).is_ok()
}

/// Register a block that is to be handed out. False if there is no memory to do so.
pub(super) fn made<T: 'static>(block: *const T) -> bool {
    if !fork::register(&HANDLERS, before_fork, after_fork, after_fork) {
        return false;
    }
    let mut table = MADE.lock();
    let has_room = table.try_reserve(1).is_ok();
    if has_room {
        table.insert(block.addr(), TypeId::of::<T>());
    }
    has_room
}

/// Remove a freed block, whoever made it.
pub(super) fn freed<T>(block: *const T) {
    MADE.lock().remove(&block.addr());
}

/// Returns whether this is a block of the library's, and no `T`.
pub(super) fn is_other<T: 'static, U>(instance: *const U) -> bool {
    MADE.lock().get(&instance.addr()).is_some_and(|made| *made != TypeId::of::<T>())
}

extern "C" fn before_fork() {
    fork::hold(&HELD, || MADE.lock());
}

extern "C" fn after_fork() {
    drop(fork::let_go(&HELD));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_what_it_was_made_as_until_it_is_freed() {
        let block = Box::new(0_u64);
        let block = &raw const *block;
        assert!(!is_other::<u32, _>(block), "a caller's may be anything");
        assert!(made(block));
        assert!(is_other::<u32, _>(block));
        assert!(!is_other::<u64, _>(block));
        freed(block);
        assert!(!is_other::<u32, _>(block));
    }
}
