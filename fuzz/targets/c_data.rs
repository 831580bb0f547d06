//! Sequences of calls over a list, a dictionary and a template through the C interface, compared with
//! plain collections. The address sanitizer sees what is freed twice, or not at all.

#![no_main]

use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr;

use arbitrary::Arbitrary;
use drmaa2::ffi::dict::*;
use drmaa2::ffi::enums::{ListType, drmaa2_error};
use drmaa2::ffi::ext::list::{uge_drmaa2_list_free_root, uge_drmaa2_list_set};
use drmaa2::ffi::fuzzing;
use drmaa2::ffi::impl_spec::{drmaa2_get_instance_value, drmaa2_set_instance_value};
use drmaa2::ffi::jtemplate::{drmaa2_jtemplate, drmaa2_jtemplate_create, drmaa2_jtemplate_free};
use drmaa2::ffi::list::*;
use drmaa2::ffi::strings::{drmaa2_lasterror, drmaa2_lasterror_text, drmaa2_string_free};
use drmaa2::model::extensions::JOB_TEMPLATE;
use libfuzzer_sys::fuzz_target;

const INVALID_ARGUMENT: drmaa2_error = 7;

#[derive(Debug, Arbitrary)]
enum Call {
    Add(CString),
    AddNothing,
    Get(i8),
    Replace(i8, CString),
    Delete(i8),
    /// The list becomes the template's, and another one is made.
    GiveList,
    FreeList,
    /// Free the list and not what is in it.
    FreeRoot,
    Set(CString, CString),
    /// Set the value that a key has already.
    SetSame(CString),
    Find(CString),
    Remove(CString),
    GiveDict,
    FreeDict,
    Attribute(u8, Option<CString>),
    FreeTemplate,
}

/// The objects under test, and what they should hold. With `owns`, lists and dictionaries free their strings.
struct World {
    owns: bool,
    list: drmaa2_list,
    elements: Vec<*mut c_char>,
    dict: drmaa2_dict,
    entries: Vec<(*mut c_char, *mut c_char)>,
    template: drmaa2_jtemplate,
    attributes: Vec<(CString, Option<CString>)>,
    /// Strings that the world has to free at the end: nobody else owns them.
    strings: Vec<*mut c_char>,
}

fn check(error: drmaa2_error, succeeds: bool) {
    assert_eq!(error, if succeeds { 0 } else { INVALID_ARGUMENT });
    // SAFETY: takes nothing.
    unsafe {
        assert_eq!(drmaa2_lasterror(), error);
        let mut text = drmaa2_lasterror_text();
        assert_eq!(text.is_null(), succeeds);
        drmaa2_string_free(&raw mut text);
    }
}

fn content<'a>(string: *const c_char) -> &'a CStr {
    // SAFETY: only strings that live are asked for.
    unsafe { CStr::from_ptr(string) }
}

impl World {
    fn new(owns: bool) -> Self {
        let mut new = Self {
            owns,
            list: ptr::null_mut(),
            elements: Vec::new(),
            dict: ptr::null_mut(),
            entries: Vec::new(),
            template: ptr::null_mut(),
            attributes: Vec::new(),
            strings: Vec::new(),
        };
        new.fill();
        new
    }

    /// Make what is missing.
    fn fill(&mut self) {
        // SAFETY: the callbacks fit the elements.
        unsafe {
            if self.list.is_null() {
                let callback: unsafe extern "C" fn(*mut *mut c_void) =
                    drmaa2_string_list_default_callback;
                let kind = ListType::DRMAA2_STRINGLIST as i32;
                self.list = drmaa2_list_create(kind, self.owns.then_some(callback));
                self.elements.clear();
            }
            if self.dict.is_null() {
                let callback: unsafe extern "C" fn(*mut *mut c_char, *mut *mut c_char) =
                    drmaa2_dict_default_callback;
                self.dict = drmaa2_dict_create(self.owns.then_some(callback));
                self.entries.clear();
            }
            if self.template.is_null() {
                self.template = drmaa2_jtemplate_create();
                self.attributes.clear();
            }
        }
        assert!(!self.list.is_null() && !self.dict.is_null() && !self.template.is_null());
    }

    /// A string for a list or dictionary.
    fn string(&mut self, text: &CStr) -> *mut c_char {
        // SAFETY: a string.
        let copy = unsafe { libc::strdup(text.as_ptr()) };
        if !self.owns {
            self.strings.push(copy);
        }
        copy
    }

    /// A string that its list or dictionary has let go of without freeing it.
    fn keep(&mut self, string: *mut c_char) {
        if self.owns {
            self.strings.push(string);
        }
    }

    fn entry(&self, key: &CStr) -> Option<usize> {
        self.entries.iter().position(|(other, _)| content(*other) == key)
    }

    /// SAFETY: `list`, `dict` and `template` are alive, and what they hold is.
    unsafe fn call(&mut self, call: Call) {
        let index = |pos: i8| usize::try_from(pos).ok().filter(|pos| *pos < self.elements.len());
        // SAFETY: all arguments are what the functions ask for.
        unsafe {
            match call {
                Call::Add(text) => {
                    let string = self.string(&text);
                    check(drmaa2_list_add(self.list, string.cast()), true);
                    self.elements.push(string);
                }
                Call::AddNothing => check(drmaa2_list_add(self.list, ptr::null()), false),
                Call::Get(pos) => {
                    let expected = index(pos).map_or(ptr::null_mut(), |pos| self.elements[pos]);
                    assert_eq!(drmaa2_list_get(self.list, pos.into()), expected.cast_const().cast());
                }
                Call::Replace(pos, text) => {
                    let at = index(pos);
                    let string = self.string(&text);
                    check(uge_drmaa2_list_set(self.list, pos.into(), string.cast()), at.is_some());
                    match at {
                        Some(at) => {
                            let old = std::mem::replace(&mut self.elements[at], string);
                            self.keep(old);
                        }
                        None => self.keep(string),
                    }
                }
                Call::Delete(pos) => {
                    let at = index(pos);
                    check(drmaa2_list_del(self.list, pos.into()), at.is_some());
                    at.map(|at| self.elements.remove(at));
                }
                Call::GiveList => {
                    drmaa2_list_free(&raw mut (*self.template).args);
                    (*self.template).args = std::mem::replace(&mut self.list, ptr::null_mut());
                }
                Call::FreeList => drmaa2_list_free(&raw mut self.list),
                Call::FreeRoot => {
                    for element in std::mem::take(&mut self.elements) {
                        self.keep(element);
                    }
                    uge_drmaa2_list_free_root(&raw mut self.list);
                }
                Call::Set(key, value) => {
                    let (key, value) = (self.string(&key), self.string(&value));
                    let known = self.entry(content(key));
                    check(drmaa2_dict_set(self.dict, key, value), true);
                    match known {
                        Some(at) => {
                            self.entries[at].1 = value;
                            self.keep(key);
                        }
                        None => self.entries.push((key, value)),
                    }
                }
                Call::SetSame(key) => {
                    if let Some(at) = self.entry(&key) {
                        check(drmaa2_dict_set(self.dict, key.as_ptr(), self.entries[at].1), true);
                    }
                }
                Call::Find(key) => {
                    let expected = self.entry(&key).map(|at| self.entries[at].1);
                    let has = drmaa2_dict_has(self.dict, key.as_ptr());
                    assert_eq!(has != 0, expected.is_some());
                    let found = drmaa2_dict_get(self.dict, key.as_ptr());
                    assert_eq!(found, expected.unwrap_or(ptr::null_mut()).cast_const());
                }
                Call::Remove(key) => {
                    let at = self.entry(&key);
                    check(drmaa2_dict_del(self.dict, key.as_ptr()), at.is_some());
                    at.map(|at| self.entries.remove(at));
                }
                Call::GiveDict => {
                    drmaa2_dict_free(&raw mut (*self.template).jobEnvironment);
                    (*self.template).jobEnvironment = std::mem::replace(&mut self.dict, ptr::null_mut());
                }
                Call::FreeDict => drmaa2_dict_free(&raw mut self.dict),
                Call::Attribute(number, value) => self.attribute(number, value),
                Call::FreeTemplate => drmaa2_jtemplate_free(&raw mut self.template),
            }
        }
    }

    /// SAFETY: as for `call`.
    unsafe fn attribute(&mut self, number: u8, value: Option<CString>) {
        let Ok(name) = CString::new(JOB_TEMPLATE[usize::from(number) % JOB_TEMPLATE.len()].name) else {
            return;
        };
        let pointer = value.as_ref().map_or(ptr::null(), |value| value.as_ptr());
        // SAFETY: a template, and strings.
        unsafe { check(drmaa2_set_instance_value(self.template.cast(), name.as_ptr(), pointer), true) };
        self.attributes.retain(|(other, _)| *other != name);
        self.attributes.push((name, value.filter(|value| !value.is_empty())));
    }

    /// SAFETY: as for `call`.
    unsafe fn compare(&self) {
        // SAFETY: a list, a dictionary and a template.
        unsafe {
            assert_eq!(drmaa2_list_size(self.list), self.elements.len() as i64);
            let mut keys = drmaa2_dict_list(self.dict);
            assert_eq!(drmaa2_list_size(keys), self.entries.len() as i64);
            for (at, (key, _)) in self.entries.iter().enumerate() {
                let listed = drmaa2_list_get(keys, at as i64);
                assert!(!listed.is_null() && content(listed.cast()) == content(*key));
            }
            drmaa2_list_free(&raw mut keys);
            for (name, value) in &self.attributes {
                let mut found = drmaa2_get_instance_value(self.template.cast(), name.as_ptr());
                let found_text = (!found.is_null()).then(|| content(found));
                assert_eq!(found_text, value.as_deref());
                drmaa2_string_free(&raw mut found);
            }
            assert!(fuzzing::read(self.template).is_ok());
        }
    }
}

fuzz_target!(|input: (bool, Vec<Call>)| {
    let (owns, calls) = input;
    let mut world = World::new(owns);
    // SAFETY: `fill` makes anew what a call has freed or given away. Strings that nobody owns are freed
    // when everything that may hold them is gone.
    unsafe {
        for call in calls {
            world.call(call);
            world.fill();
            world.compare();
        }
        drmaa2_list_free(&raw mut world.list);
        drmaa2_dict_free(&raw mut world.dict);
        drmaa2_jtemplate_free(&raw mut world.template);
        for string in &world.strings {
            libc::free(string.cast());
        }
    }
});
