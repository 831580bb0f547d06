//! An element of a list.

use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::model::{Error, Result, Text};

use super::mem::Owned;

/// An element of a list.
pub(super) struct Element {
    /// The pointer for callers; NULL if it has not been made.
    pointer: AtomicPtr<c_void>,
    /// In a list of strings, the text at the time of the call: some callers free a string as soon as it is in a list
    /// without a callback, before they pass the list to be read.
    text: Option<Text>,
    /// Its place among those that are made when they are asked for.
    place: usize,
}

/// Makes elements of a list when they are asked for, by their places.
pub(super) struct Maker {
    make: Box<dyn Fn(usize) -> Result<*mut c_void> + Send + Sync>,
    release: unsafe extern "C" fn(*mut *mut c_void),
}

impl Element {
    /// One that is there.
    pub(super) fn new(pointer: *mut c_void, text: Option<Text>) -> Self {
        Self { pointer: AtomicPtr::new(pointer), text, place: 0 }
    }

    /// One that is made when it is asked for.
    pub(super) fn unmade(place: usize) -> Self {
        Self { place, ..Self::new(ptr::null_mut(), None) }
    }

    pub(super) fn text(&self) -> Option<&Text> {
        self.text.as_ref()
    }

    /// The pointer that was made or added; NULL for one that nobody has asked for.
    pub(super) fn made(&self) -> *mut c_void {
        self.pointer.load(Ordering::Acquire)
    }

    /// The same pointer for everybody, also for threads that ask at the same time.
    pub(super) fn pointer(&self, maker: Option<&Maker>) -> Result<*mut c_void> {
        let there = self.made();
        if !there.is_null() {
            return Ok(there);
        }
        let maker = maker.ok_or_else(|| Error::internal("a list lost an element"))?;
        let mut made = (maker.make)(self.place)?;
        match self.pointer.compare_exchange(ptr::null_mut(), made, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Ok(made),
            Err(other) => {
                // SAFETY: it was made just now, and nobody else has it.
                unsafe { (maker.release)(&raw mut made) };
                Ok(other)
            }
        }
    }
}

impl Maker {
    /// Makes structs, which `release` frees.
    pub(super) fn new<T: super::mem::Block>(
        make: impl Fn(usize) -> Result<Owned<T>> + Send + Sync + 'static,
        release: unsafe extern "C" fn(*mut *mut c_void),
    ) -> Self {
        Self { make: Box::new(move |place| Ok(make(place)?.into_raw().cast())), release }
    }
}
