//! Dictionaries of strings.

use std::collections::HashMap;
use std::ffi::c_char;
use std::ptr;

use crate::model::{Error, Result, Text};

use super::enums::{FALSE, TRUE, drmaa2_bool, drmaa2_error};
use super::guard;
use super::list::{self, drmaa2_string_list};
use super::mem::{self, null};

/// A dictionary of strings.
pub type drmaa2_dict = *mut drmaa2_dict_s;

/// Releases a key and a value that a dictionary lets go of. It gets the addresses of variables
/// that hold them; the key is NULL when only the value is replaced.
pub type drmaa2_dict_entryfree =
    Option<unsafe extern "C" fn(key: *mut *mut c_char, val: *mut *mut c_char)>;

/// The struct behind a drmaa2_dict.
pub struct drmaa2_dict_s {
    release: drmaa2_dict_entryfree,
    entries: HashMap<Text, Entry>,
    /// The number of the next new entry.
    next: u64,
    /// Room for all entries, in which they are put in order when the dictionary is freed: that must not
    /// fail.
    room: Vec<Entry>,
}

struct Entry {
    /// Increases with each new key: the order of insertion.
    number: u64,
    key: *mut c_char,
    value: *mut c_char,
}

impl drmaa2_dict_s {
    fn new(release: drmaa2_dict_entryfree) -> Result<Box<Self>> {
        mem::boxed(Self { release, entries: HashMap::new(), next: 0, room: Vec::new() })
    }

    fn reserve(&mut self) -> Result<()> {
        self.entries.try_reserve(1).map_err(|_| mem::out_of_memory())?;
        self.room.try_reserve(self.entries.len() + 1).map_err(|_| mem::out_of_memory())
    }

    /// Add an entry for which there is room.
    fn add(&mut self, text: Text, key: *mut c_char, value: *mut c_char) {
        self.entries.insert(text, Entry { number: self.next, key, value });
        self.next += 1;
    }

    /// Store two pointers. If the key exists, only the value is replaced, and the old one is returned.
    fn set(&mut self, text: &[u8], key: *mut c_char, value: *mut c_char) -> Result<Option<*mut c_char>> {
        if let Some(entry) = self.entries.get_mut(text) {
            return Ok(Some(std::mem::replace(&mut entry.value, value)));
        }
        let text = mem::text(text)?;
        self.reserve()?;
        self.add(text, key, value);
        Ok(None)
    }

    /// Store copies of two strings in a dictionary that owns its strings.
    fn set_copies(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        if let Some(entry) = self.entries.get_mut(key) {
            let mut old = std::mem::replace(&mut entry.value, mem::string(value)?);
            // SAFETY: the dictionary's own string.
            unsafe { mem::free_string(&raw mut old) };
            return Ok(());
        }
        let text = mem::text(key)?;
        self.reserve()?;
        let mut key = mem::string(key)?;
        // SAFETY: just made.
        let value = mem::string(value).inspect_err(|_| unsafe { mem::free_string(&raw mut key) })?;
        self.add(text, key, value);
        Ok(())
    }

    fn in_order(&self) -> Result<Vec<(&Text, &Entry)>> {
        let mut entries = Vec::new();
        entries.try_reserve_exact(self.entries.len()).map_err(|_| mem::out_of_memory())?;
        entries.extend(&self.entries);
        entries.sort_unstable_by_key(|(_, entry)| entry.number);
        Ok(entries)
    }
}

impl Drop for drmaa2_dict_s {
    fn drop(&mut self) {
        self.room.extend(self.entries.drain().map(|(_, entry)| entry));
        self.room.sort_unstable_by_key(|entry| entry.number);
        for entry in &self.room {
            // SAFETY: the entry was set in a dictionary with this callback.
            unsafe { release(self.release, entry.key, entry.value) };
        }
    }
}

/// Run a dictionary's callback on a key and a value.
unsafe fn release(callback: drmaa2_dict_entryfree, mut key: *mut c_char, mut value: *mut c_char) {
    if let Some(callback) = callback {
        // SAFETY: whoever made the dictionary promised that its callback takes its entries.
        unsafe { callback(&raw mut key, &raw mut value) };
    }
}

/// The dictionary behind a handle, to be read, as other threads may do at the same time.
unsafe fn look<'a>(dict: drmaa2_dict) -> Result<&'a drmaa2_dict_s> {
    // SAFETY: NULL, or a dictionary that no other thread changes now, as the header asks.
    unsafe { dict.as_ref() }.ok_or_else(|| null("dictionary"))
}

/// The dictionary behind a handle, to be changed.
unsafe fn get<'a>(dict: drmaa2_dict) -> Result<&'a mut drmaa2_dict_s> {
    // SAFETY: NULL, or a dictionary that no other thread uses now, as the header asks.
    unsafe { dict.as_mut() }.ok_or_else(|| null("dictionary"))
}

/// The content of a key.
unsafe fn content<'a>(key: *const c_char) -> Result<&'a [u8]> {
    // SAFETY: NULL or a string, as the header asks.
    unsafe { mem::bytes(key) }.ok_or_else(|| null("key"))
}

fn unknown(key: &[u8]) -> Error {
    Error::argument(format!("no key \"{}\" in the dictionary", Text::from(key)))
}

/// Create an empty dictionary.
///
/// callback: what releases a key and its value when the dictionary lets go of them; NULL if it is
/// to leave them alone. Returns a dictionary to be freed with drmaa2_dict_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_dict_create(callback: drmaa2_dict_entryfree) -> drmaa2_dict {
    guard::pointer(|| drmaa2_dict_s::new(callback).map(Box::into_raw))
}

/// Free a dictionary and set *d to NULL.
///
/// The callback of the dictionary is run on each entry, in the order of insertion; without a
/// callback the strings are left alone. Nothing happens if d or *d is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_dict_free(d: *mut drmaa2_dict) {
    // SAFETY: the caller hands over his dictionary.
    guard::quiet((), || unsafe { free(d) });
}

/// Get all keys, in the order of insertion.
///
/// Returns a list of copies, to be freed with drmaa2_list_free; empty for an empty dictionary.
/// NULL on error: DRMAA2_INVALID_ARGUMENT if d is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_dict_list(d: drmaa2_dict) -> drmaa2_string_list {
    guard::pointer(|| {
        // SAFETY: a dictionary, or NULL.
        let dict = unsafe { look(d) }?;
        list::of_strings(dict.in_order()?.into_iter().map(|(key, _)| key.as_bytes()))
    })
}

/// Is there an entry with this key?
///
/// Returns DRMAA2_TRUE or DRMAA2_FALSE; that there is none is no error. DRMAA2_FALSE with
/// DRMAA2_INVALID_ARGUMENT if d or key is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_dict_has(d: drmaa2_dict, key: *const c_char) -> drmaa2_bool {
    guard::value(FALSE, || {
        // SAFETY: a dictionary and a string, or NULL.
        let (dict, key) = unsafe { (look(d)?, content(key)?) };
        Ok(if dict.entries.contains_key(key) { TRUE } else { FALSE })
    })
}

/// Get the value of a key.
///
/// Returns the pointer that was set. It still belongs to the dictionary. NULL on error:
/// DRMAA2_INVALID_ARGUMENT if d or key is NULL or there is no such key.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_dict_get(d: drmaa2_dict, key: *const c_char) -> *const c_char {
    guard::value(ptr::null(), || {
        // SAFETY: a dictionary and a string, or NULL.
        let (dict, key) = unsafe { (look(d)?, content(key)?) };
        dict.entries.get(key).map(|entry| entry.value.cast_const()).ok_or_else(|| unknown(key))
    })
}

/// Delete the entry with this key.
///
/// The callback of the dictionary is run on it. DRMAA2_INVALID_ARGUMENT if d or key is NULL or
/// there is no such key.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_dict_del(d: drmaa2_dict, key: *const c_char) -> drmaa2_error {
    guard::status(|| {
        let (callback, entry) = {
            // SAFETY: a dictionary and a string, or NULL. The reference ends before the callback,
            // which may use the dictionary.
            let (dict, key) = unsafe { (get(d)?, content(key)?) };
            (dict.release, dict.entries.remove(key).ok_or_else(|| unknown(key))?)
        };
        // SAFETY: the entry was set in a dictionary with this callback.
        unsafe { release(callback, entry.key, entry.value) };
        Ok(())
    })
}

/// Set the value of a key.
///
/// The dictionary keeps both pointers, not copies; it owns the strings if it was created with a
/// callback. If there is an entry whose key has the same content, only its value is replaced: the
/// old value is released through the callback, which gets a NULL key, and the new key stays the
/// caller's. DRMAA2_INVALID_ARGUMENT if d, key or val is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_dict_set(
    d: drmaa2_dict,
    key: *const c_char,
    val: *const c_char,
) -> drmaa2_error {
    guard::status(|| {
        let (callback, old) = {
            // SAFETY: a dictionary and a string, or NULL. The reference ends before the callback,
            // which may use the dictionary.
            let (dict, text) = unsafe { (get(d)?, content(key)?) };
            if val.is_null() {
                return Err(null("value"));
            }
            (dict.release, dict.set(text, key.cast_mut(), val.cast_mut())?)
        };
        if let Some(old) = old.filter(|old| old.cast_const() != val) {
            // SAFETY: the value was set in a dictionary with this callback.
            unsafe { release(callback, ptr::null_mut(), old) };
        }
        Ok(())
    })
}

/// Free both strings and set their variables to NULL. Tolerates NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_dict_default_callback(key: *mut *mut c_char, value: *mut *mut c_char) {
    guard::quiet((), || {
        // SAFETY: the caller hands over two strings.
        unsafe {
            mem::free_string(key);
            mem::free_string(value);
        }
    });
}

/// Free a dictionary and its entries and set its variable to NULL.
///
/// # Safety
/// `variable` is NULL or points to a variable that holds NULL or a dictionary.
pub(super) unsafe fn free(variable: *mut drmaa2_dict) {
    // SAFETY: the caller's promise.
    let dict = unsafe { mem::take(variable) };
    if !dict.is_null() {
        // SAFETY: every dictionary was made by a Box, and the variable no longer leads here.
        drop(unsafe { Box::from_raw(dict) });
    }
}

/// A new dictionary that owns its strings.
pub(super) fn of_texts(entries: &[(Text, Text)]) -> Result<drmaa2_dict> {
    let mut dict = drmaa2_dict_s::new(Some(drmaa2_dict_default_callback))?;
    for (key, value) in entries {
        dict.set_copies(key.as_bytes(), value.as_bytes())?;
    }
    Ok(Box::into_raw(dict))
}

/// The entries of a caller's dictionary, in the order of insertion; `None` for NULL.
///
/// # Safety
/// `dict` is NULL or a dictionary that no other thread changes now, and its values are strings.
pub(super) unsafe fn texts(dict: drmaa2_dict) -> Result<Option<Vec<(Text, Text)>>> {
    // SAFETY: the caller's promise.
    let Some(dict) = (unsafe { dict.as_ref() }) else { return Ok(None) };
    // SAFETY: values are strings; NULL cannot be set.
    let value = |entry: &Entry| Text::from(unsafe { mem::bytes(entry.value) }.unwrap_or_default());
    let entries = dict.in_order()?.into_iter().map(|(key, entry)| (key.clone(), value(entry)));
    Ok(Some(entries.collect()))
}

/// The value of a key, if the dictionary exists and has it.
///
/// # Safety
/// `dict` is NULL or a dictionary that no other thread changes as long as the answer is used, and its
/// values are strings.
pub(super) unsafe fn value<'a>(dict: drmaa2_dict, key: &str) -> Option<&'a [u8]> {
    // SAFETY: the caller's promise.
    let entry = unsafe { dict.as_ref() }?.entries.get(key.as_bytes())?;
    // SAFETY: the same.
    unsafe { mem::bytes(entry.value) }
}

/// Set a key to a copy of `value`, or delete it for `None`. The dictionary owns its strings; it is made
/// for the first value, and freed with the last.
///
/// # Safety
/// `variable` holds NULL or a dictionary made by [`of_texts`], which no other thread uses now.
pub(super) unsafe fn put(variable: *mut drmaa2_dict, key: &str, value: Option<&[u8]>) -> Result<()> {
    // SAFETY: the caller's promise.
    let known = unsafe { (*variable).as_mut() };
    match (known, value) {
        (Some(dict), Some(value)) => dict.set_copies(key.as_bytes(), value),
        (Some(dict), None) => {
            if let Some(entry) = dict.entries.remove(key.as_bytes()) {
                // SAFETY: the dictionary's own strings.
                unsafe { release(dict.release, entry.key, entry.value) };
            }
            if dict.entries.is_empty() {
                // SAFETY: the caller's promise.
                unsafe { free(variable) };
            }
            Ok(())
        }
        (None, Some(value)) => {
            let mut dict = drmaa2_dict_s::new(Some(drmaa2_dict_default_callback))?;
            dict.set_copies(key.as_bytes(), value)?;
            // SAFETY: the caller's promise.
            unsafe { variable.write(Box::into_raw(dict)) };
            Ok(())
        }
        (None, None) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_in_the_order_in_which_they_were_set() {
        let entries: Vec<(Text, Text)> =
            (0..100).rev().map(|n| (Text::from(format!("k{n}")), Text::from(format!("v{n}")))).collect();
        let mut dict = of_texts(&entries).unwrap();
        // SAFETY: just made.
        unsafe {
            assert_eq!(texts(dict), Ok(Some(entries)));
            free(&raw mut dict);
        }
        assert!(dict.is_null());
    }

    #[test]
    fn the_last_of_two_values_for_one_key_counts() {
        let entries = [("k", "1"), ("k", "2")].map(|(key, value)| (key.into(), value.into()));
        let mut dict = of_texts(&entries).unwrap();
        // SAFETY: just made.
        unsafe {
            assert_eq!(texts(dict), Ok(Some(vec![("k".into(), "2".into())])));
            free(&raw mut dict);
        }
    }
}
