//! Lists of pointers.

use std::collections::VecDeque;
use std::ffi::{c_int, c_long, c_void};
use std::ptr;

use crate::model::{Error, Result, Text};

use super::element::{Element, Maker};
use super::enums::{ListType, drmaa2_error, drmaa2_listtype};
use super::guard;
use super::instances;
use super::mem::{self, Block, Owned, null};

/// A list of pointers, of one kind.
pub type drmaa2_list = *mut drmaa2_list_s;
/// A list of char *, type DRMAA2_STRINGLIST.
pub type drmaa2_string_list = drmaa2_list;
/// A list of drmaa2_j, type DRMAA2_JOBLIST.
pub type drmaa2_j_list = drmaa2_list;
/// A list of drmaa2_queueinfo, type DRMAA2_QUEUEINFOLIST.
pub type drmaa2_queueinfo_list = drmaa2_list;
/// A list of drmaa2_machineinfo, type DRMAA2_MACHINEINFOLIST.
pub type drmaa2_machineinfo_list = drmaa2_list;
/// A list of drmaa2_slotinfo, type DRMAA2_SLOTINFOLIST.
pub type drmaa2_slotinfo_list = drmaa2_list;
/// A list of drmaa2_r, type DRMAA2_RESERVATIONLIST.
pub type drmaa2_r_list = drmaa2_list;

/// Releases an element that a list lets go of. It gets the address of a variable that holds the
/// element, so that functions shaped like drmaa2_string_free fit.
pub type drmaa2_list_entryfree = Option<unsafe extern "C" fn(value: *mut *mut c_void)>;

/// The struct behind a drmaa2_list.
pub struct drmaa2_list_s {
    kind: drmaa2_listtype,
    release: drmaa2_list_entryfree,
    elements: VecDeque<Element>,
    /// Makes those that nobody has asked for yet.
    maker: Option<Maker>,
}

impl drmaa2_list_s {
    fn new(kind: drmaa2_listtype, release: drmaa2_list_entryfree) -> Result<Box<Self>> {
        mem::boxed(Self { kind, release, elements: VecDeque::new(), maker: None })
    }

    fn reserve(&mut self, more: usize) -> Result<()> {
        self.elements.try_reserve(more).map_err(|_| mem::out_of_memory())
    }

    /// The index of the element at `pos`.
    fn index(&self, pos: c_long) -> Result<usize> {
        usize::try_from(pos).ok().filter(|index| *index < self.elements.len()).ok_or_else(|| {
            Error::argument(format!("no element {pos} in a list of {}", self.elements.len()))
        })
    }

    /// The list's record of an element.
    unsafe fn element(&self, pointer: *mut c_void) -> Result<Element> {
        if pointer.is_null() {
            return Err(null("list element"));
        }
        let text = if self.is(ListType::DRMAA2_STRINGLIST) {
            // SAFETY: the elements of a list of strings are strings.
            unsafe { mem::bytes(pointer.cast()) }.map(mem::text).transpose()?
        } else {
            None
        };
        Ok(Element::new(pointer, text))
    }

    fn is(&self, kind: ListType) -> bool {
        self.kind == kind as c_int
    }
}

impl Drop for drmaa2_list_s {
    fn drop(&mut self) {
        for element in self.elements.drain(..) {
            // SAFETY: the element was added to a list with this callback.
            unsafe { release(self.release, element.made()) };
        }
    }
}

/// Run a list's callback on an element, unless nobody has it.
unsafe fn release(callback: drmaa2_list_entryfree, mut pointer: *mut c_void) {
    if let Some(callback) = callback.filter(|_| !pointer.is_null()) {
        // SAFETY: whoever made the list promised that its callback takes its elements.
        unsafe { callback(&raw mut pointer) };
    }
}

/// The list behind a handle, to be read, as other threads may do at the same time.
unsafe fn look<'a>(list: drmaa2_list) -> Result<&'a drmaa2_list_s> {
    // SAFETY: NULL, or a list that no other thread changes now, as the header asks.
    unsafe { list.as_ref() }.ok_or_else(|| null("list"))
}

/// The list behind a handle, to be changed.
unsafe fn get<'a>(list: drmaa2_list) -> Result<&'a mut drmaa2_list_s> {
    // SAFETY: NULL, or a list that no other thread uses now, as the header asks.
    unsafe { list.as_mut() }.ok_or_else(|| null("list"))
}

/// Create an empty list.
///
/// t: what its elements will be. callback: what releases an element when the list lets go of it;
/// NULL if the list is to leave its elements alone. Returns a list to be freed with
/// drmaa2_list_free, or NULL: DRMAA2_INVALID_ARGUMENT if t is no list type.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_list_create(
    t: drmaa2_listtype,
    callback: drmaa2_list_entryfree,
) -> drmaa2_list {
    guard::pointer(|| {
        let known = ListType::DRMAA2_STRINGLIST as c_int..=ListType::DRMAA2_RESERVATIONLIST as c_int;
        if !known.contains(&t) {
            return Err(Error::argument(format!("{t} is no list type")));
        }
        drmaa2_list_s::new(t, callback).map(Box::into_raw)
    })
}

/// Free a list and set *l to NULL.
///
/// The callback of the list is run on each element, in order; without a callback the elements are
/// left alone. Nothing happens if l or *l is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_list_free(l: *mut drmaa2_list) {
    // SAFETY: the caller hands over his list.
    guard::quiet((), || unsafe { free(l) });
}

/// Get the element at position pos, counted from 0.
///
/// Returns exactly the pointer that was added. It still belongs to the list, and is valid until
/// the element is deleted or the list is freed. NULL on error: DRMAA2_INVALID_ARGUMENT if l is
/// NULL or there is no such element, DRMAA2_OUT_OF_RESOURCE if there is no memory: the jobs of an
/// array are made when they are asked for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_list_get(l: drmaa2_list, pos: c_long) -> *const c_void {
    guard::value(ptr::null(), || {
        // SAFETY: a list, or NULL.
        let list = unsafe { look(l) }?;
        let index = list.index(pos)?;
        let element =
            list.elements.get(index).ok_or_else(|| Error::internal("a list lost an element"))?;
        Ok(element.pointer(list.maker.as_ref())?.cast_const())
    })
}

/// Add an element at the end.
///
/// The list keeps the pointer, not a copy; it owns the element if it was created with a callback.
/// The text of a string is the one it has now: when the library itself reads a list of strings,
/// it does not see later changes. DRMAA2_INVALID_ARGUMENT if l or value is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_list_add(l: drmaa2_list, value: *const c_void) -> drmaa2_error {
    guard::status(|| {
        // SAFETY: a list, or NULL.
        let list = unsafe { get(l) }?;
        // SAFETY: an element of such a list, or NULL.
        let element = unsafe { list.element(value.cast_mut()) }?;
        list.reserve(1)?;
        list.elements.push_back(element);
        Ok(())
    })
}

/// Delete the element at position pos, counted from 0; later elements move up by one.
///
/// The callback of the list is run on the element. DRMAA2_INVALID_ARGUMENT if l is NULL or there
/// is no such element.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_list_del(l: drmaa2_list, pos: c_long) -> drmaa2_error {
    guard::status(|| {
        let (callback, element) = {
            // SAFETY: a list, or NULL. The reference ends before the callback, which may use the
            // list.
            let list = unsafe { get(l) }?;
            let index = list.index(pos)?;
            (list.release, list.elements.remove(index))
        };
        if let Some(element) = element {
            // SAFETY: the element was added to a list with this callback.
            unsafe { release(callback, element.made()) };
        }
        Ok(())
    })
}

/// Get the number of elements.
///
/// Returns 0 for an empty list, -1 on error: DRMAA2_INVALID_ARGUMENT if l is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_list_size(l: drmaa2_list) -> c_long {
    guard::value(-1, || {
        // SAFETY: a list, or NULL.
        let list = unsafe { look(l) }?;
        c_long::try_from(list.elements.len()).map_err(|_| Error::internal("a list too long to count"))
    })
}

/// Free a string; for lists of strings. Leaves NULL in *value. Tolerates NULL, as all of these do.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_string_list_default_callback(value: *mut *mut c_void) {
    // SAFETY: the caller hands over a string.
    guard::quiet((), || unsafe { mem::free_string(value.cast()) });
}

/// Free a list and its elements and set its variable to NULL.
///
/// # Safety
/// `variable` is NULL or points to a variable that holds NULL or a list.
pub(super) unsafe fn free(variable: *mut drmaa2_list) {
    // SAFETY: the caller's promise.
    let list = unsafe { mem::take(variable) };
    if !list.is_null() {
        // SAFETY: every list was made by a Box, and the variable no longer leads here.
        drop(unsafe { Box::from_raw(list) });
    }
}

/// Free a list, but not its elements, and set its variable to NULL.
///
/// # Safety
/// As [`free`].
pub(super) unsafe fn free_root(variable: *mut drmaa2_list) {
    // SAFETY: the caller's promise; NULL, or a list that nobody else uses.
    if let Some(list) = unsafe { variable.as_ref().and_then(|list| list.as_mut()) } {
        list.release = None;
    }
    // SAFETY: the caller's promise.
    unsafe { free(variable) };
}

/// Replace the element at `pos`, which is not freed.
///
/// # Safety
/// `list` is NULL or a list that no other thread uses now, for which `value` is an element or NULL.
pub(super) unsafe fn set(list: drmaa2_list, pos: c_long, value: *mut c_void) -> Result<()> {
    // SAFETY: the caller's promise.
    let list = unsafe { get(list) }?;
    let index = list.index(pos)?;
    // SAFETY: the same.
    let element = unsafe { list.element(value) }?;
    if let Some(place) = list.elements.get_mut(index) {
        *place = element;
    }
    Ok(())
}

/// A new list of strings that owns its elements.
pub(super) fn of_strings<T: AsRef<[u8]>>(texts: impl IntoIterator<Item = T>) -> Result<drmaa2_list> {
    let callback = drmaa2_string_list_default_callback;
    let mut list = drmaa2_list_s::new(ListType::DRMAA2_STRINGLIST as c_int, Some(callback))?;
    for text in texts {
        list.reserve(1)?;
        let copy = mem::text(text.as_ref())?;
        let pointer = mem::string(text.as_ref())?.cast();
        list.elements.push_back(Element::new(pointer, Some(copy)));
    }
    Ok(Box::into_raw(list))
}

/// A kind of struct in lists.
pub(super) trait Listed: Block {
    /// The type of such a list.
    const KIND: ListType;
    /// Frees one element.
    const RELEASE: unsafe extern "C" fn(*mut *mut c_void);
}

/// A new list of structs that owns its elements.
pub(super) fn of_blocks<T: Listed>(
    blocks: impl IntoIterator<Item = Result<Owned<T>>>,
) -> Result<drmaa2_list> {
    let mut list = drmaa2_list_s::new(T::KIND as c_int, Some(T::RELEASE))?;
    let blocks = blocks.into_iter();
    let (count, _) = blocks.size_hint();
    list.reserve(count)?;
    if !instances::expect(count) {
        return Err(mem::out_of_memory());
    }
    for block in blocks {
        list.reserve(1)?;
        list.elements.push_back(Element::new(block?.into_raw().cast(), None));
    }
    Ok(Box::into_raw(list))
}

/// The texts of a caller's list of strings; `None` for NULL.
///
/// # Safety
/// `list` is NULL or a list that no other thread changes now.
pub(super) unsafe fn texts(what: &str, list: drmaa2_list) -> Result<Option<Vec<Text>>> {
    // SAFETY: the caller's promise.
    let Some(list) = (unsafe { list.as_ref() }) else { return Ok(None) };
    if !list.is(ListType::DRMAA2_STRINGLIST) {
        return Err(Error::argument(format!("{what} is not a list of strings")));
    }
    Ok(Some(list.elements.iter().filter_map(|element| element.text().cloned()).collect()))
}

/// As [`texts`], for names, which must be UTF-8.
///
/// # Safety
/// As [`texts`].
pub(super) unsafe fn names(what: &str, list: drmaa2_list) -> Result<Option<Vec<String>>> {
    // SAFETY: the caller's promise.
    let Some(texts) = (unsafe { texts(what, list) })? else { return Ok(None) };
    let names = texts.iter().map(|text| str::from_utf8(text.as_bytes()).map(str::to_owned));
    names
        .collect::<std::result::Result<_, _>>()
        .map(Some)
        .map_err(|_| Error::argument(format!("{what} holds a name that is not UTF-8")))
}

/// A new list of so many structs that owns its elements. Each is made when it is asked for.
pub(super) fn of_unmade<T: Listed>(
    count: usize,
    make: impl Fn(usize) -> Result<Owned<T>> + Send + Sync + 'static,
) -> Result<drmaa2_list> {
    let mut list = drmaa2_list_s::new(T::KIND as c_int, Some(T::RELEASE))?;
    list.reserve(count)?;
    list.elements.extend((0..count).map(Element::unmade));
    list.maker = Some(Maker::new(make, T::RELEASE));
    Ok(Box::into_raw(list))
}

/// The structs in a caller's list; `None` for NULL or a list of another kind.
///
/// # Safety
/// As [`texts`].
pub(super) unsafe fn blocks<T: Listed>(list: drmaa2_list) -> Result<Option<Vec<*mut T>>> {
    // SAFETY: the caller's promise.
    let list = unsafe { list.as_ref() }.filter(|list| list.is(T::KIND));
    let Some(list) = list else { return Ok(None) };
    let pointer = |element: &Element| Ok(element.pointer(list.maker.as_ref())?.cast());
    list.elements.iter().map(pointer).collect::<Result<_>>().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ffi::infos::drmaa2_slotinfo_s;
    use crate::ffi::job::{self, drmaa2_j_s};
    use crate::session::JobRef;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    #[test]
    fn a_list_of_strings_is_read_as_it_was_when_they_were_added() {
        // SAFETY: a plain use of the API.
        unsafe {
            let mut list = drmaa2_list_create(ListType::DRMAA2_STRINGLIST as c_int, None);
            let mut text = *b"before\0";
            assert_eq!(drmaa2_list_add(list, text.as_ptr().cast()), 0);
            text[..5].copy_from_slice(b"AFTER");
            assert_eq!(texts("list", list), Ok(Some(vec![Text::from("before")])));
            assert_eq!(drmaa2_list_get(list, 0), text.as_ptr().cast());
            drmaa2_list_free(&raw mut list);
            assert!(list.is_null());
        }
    }

    #[test]
    fn an_element_is_made_once_for_all_who_ask_for_it() {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let make = |place: usize| {
            MADE.fetch_add(1, Ordering::Relaxed);
            let job = JobRef { id: format!("a.{place}"), session: None, name: None };
            job::handle(&job)
        };
        let mut list = of_unmade(4, make).unwrap();
        let shared = list.addr();
        let ask = || {
            // SAFETY: a list, which is only read.
            let pointer = unsafe { drmaa2_list_get(ptr::with_exposed_provenance_mut(shared), 2) };
            pointer.addr()
        };
        list.expose_provenance();
        let asked =
            thread::scope(|scope| [(); 4].map(|()| scope.spawn(ask)).map(|it| it.join().unwrap()));
        // SAFETY: a plain use of the API.
        unsafe {
            assert_eq!(asked, [drmaa2_list_get(list, 2).addr(); 4]);
            assert_eq!(drmaa2_list_size(list), 4);
            assert_eq!((drmaa2_list_del(list, 0), drmaa2_list_del(list, 1)), (0, 0));
            let ids = blocks::<drmaa2_j_s>(list).unwrap().unwrap();
            let ids: Vec<String> = ids.into_iter().map(|j| job::get(j).unwrap().id).collect();
            assert_eq!(ids, ["a.1", "a.3"]);
            assert!(MADE.load(Ordering::Relaxed) < 4 + 3);
            drmaa2_list_free(&raw mut list);
        }
    }

    #[test]
    fn a_list_of_the_wrong_kind_is_not_read() {
        // SAFETY: a plain use of the API.
        unsafe {
            let mut list = drmaa2_list_create(ListType::DRMAA2_JOBLIST as c_int, None);
            assert!(texts("args", list).is_err());
            assert!(blocks::<drmaa2_slotinfo_s>(list).unwrap().is_none());
            assert!(blocks::<drmaa2_j_s>(list).unwrap().is_some());
            drmaa2_list_free(&raw mut list);
        }
    }
}
