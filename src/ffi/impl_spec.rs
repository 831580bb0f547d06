//! Implementation-specific attributes of structs, by name. A list of names may be empty, but callers
//! rely on a list.
//!
//! No call tells the struct of an instance; the name does, as no two structs share one. The values of an
//! instance are in a dictionary in its member `implementationSpecific`, made for the first value: the
//! instance need not be the library's, and then the member is NULL.

use std::ffi::{c_char, c_void};

use crate::model::extensions::{Attribute, JOB_INFO, JOB_TEMPLATE, VERSION};
use crate::model::{Error, Result};

use super::dict::drmaa2_dict;
use super::enums::drmaa2_error;
use super::infos::drmaa2_version_s;
use super::jinfo::drmaa2_jinfo_s;
use super::jtemplate::drmaa2_jtemplate_s;
use super::list::drmaa2_string_list;
use super::mem::null;
use super::types::drmaa2_string;
use super::{dict, guard, instances, list, mem};

/// Get the names of the implementation-specific attributes of job templates (GFD.231,
/// DrmaaReflective).
///
/// Returns a list, which may be empty, to be freed with drmaa2_list_free, as all of these do.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_jtemplate_impl_spec() -> drmaa2_string_list {
    guard::pointer(|| names(&JOB_TEMPLATE))
}

/// Get the names of the implementation-specific attributes of job infos.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_jinfo_impl_spec() -> drmaa2_string_list {
    guard::pointer(|| names(&JOB_INFO))
}

/// Get the names of the implementation-specific attributes of reservation templates.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_rtemplate_impl_spec() -> drmaa2_string_list {
    guard::pointer(|| names(&[]))
}

/// Get the names of the implementation-specific attributes of reservation infos.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_rinfo_impl_spec() -> drmaa2_string_list {
    guard::pointer(|| names(&[]))
}

/// Get the names of the implementation-specific attributes of queue infos.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_queueinfo_impl_spec() -> drmaa2_string_list {
    guard::pointer(|| names(&[]))
}

/// Get the names of the implementation-specific attributes of machine infos.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_machineinfo_impl_spec() -> drmaa2_string_list {
    guard::pointer(|| names(&[]))
}

/// Get the names of the implementation-specific attributes of notifications.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_notification_impl_spec() -> drmaa2_string_list {
    guard::pointer(|| names(&[]))
}

/// Get the value of an implementation-specific attribute (GFD.231, DrmaaReflective).
///
/// instance: a struct of the kind that name belongs to. Returns a copy to be freed with
/// drmaa2_string_free, or NULL with DRMAA2_SUCCESS if it is not set. NULL on error:
/// DRMAA2_INVALID_ARGUMENT if instance or name is NULL, there is no such attribute, or instance is a
/// struct of another kind that the library has made.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_get_instance_value(
    instance: *const c_void,
    name: *const c_char,
) -> drmaa2_string {
    guard::pointer(|| {
        if instance.is_null() {
            return Err(null("instance"));
        }
        // SAFETY: NULL or a string, as the header asks.
        let known = unsafe { known(name) }?;
        known.check(instance)?;
        // SAFETY: a struct of the kind that the name belongs to, as the header asks; it is only read.
        let value = unsafe { dict::value(*known.member(instance.cast_mut()), known.attribute.name) };
        mem::optional_string(value)
    })
}

/// Get a description of an implementation-specific attribute, for people (GFD.231,
/// DrmaaReflective).
///
/// instance: not looked at. Returns a text to be freed with drmaa2_string_free. NULL on error:
/// DRMAA2_INVALID_ARGUMENT if name is NULL or there is no such attribute.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_describe_attribute(
    instance: *const c_void,
    name: *const c_char,
) -> drmaa2_string {
    guard::pointer(|| {
        let _ = instance;
        // SAFETY: NULL or a string, as the header asks.
        mem::string(unsafe { known(name) }?.attribute.description)
    })
}

/// Set the value of an implementation-specific attribute (GFD.231, DrmaaReflective).
///
/// instance: a struct of the kind that name belongs to. value: copied; NULL or empty for not set.
/// DRMAA2_INVALID_ARGUMENT if instance or name is NULL, there is no such attribute, or instance is a
/// struct of another kind that the library has made. Of a struct of the library's that the caller has
/// let go of with free(), instead of its free function, it does not know: a struct of his own that is at
/// the same address later is taken for the earlier one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_set_instance_value(
    instance: *mut c_void,
    name: *const c_char,
    value: *const c_char,
) -> drmaa2_error {
    guard::status(|| {
        if instance.is_null() {
            return Err(null("instance"));
        }
        // SAFETY: NULL or a string, as the header asks.
        let (known, value) = unsafe { (known(name)?, mem::bytes(value)) };
        let value = value.filter(|value| !value.is_empty());
        known.check(instance)?;
        // SAFETY: a struct of the kind that the name belongs to, which no other thread uses now.
        unsafe { dict::put(known.member(instance), known.attribute.name, value) }
    })
}

pub(super) fn names(attributes: &[Attribute]) -> Result<drmaa2_string_list> {
    list::of_strings(attributes.iter().map(|attribute| attribute.name))
}

/// An attribute and the kind of struct that has it.
struct Known {
    attribute: &'static Attribute,
    kind: Kind,
}

enum Kind {
    JobTemplate,
    JobInfo,
    Version,
}

const KINDS: [(&[Attribute], Kind); 3] =
    [(&JOB_TEMPLATE, Kind::JobTemplate), (&JOB_INFO, Kind::JobInfo), (&VERSION, Kind::Version)];

/// The attribute of that name.
unsafe fn known(name: *const c_char) -> Result<Known> {
    // SAFETY: NULL or a string.
    let name = unsafe { mem::name("attribute name", name) }?;
    let of_kind = |(attributes, kind): (&'static [Attribute], Kind)| {
        let attribute = attributes.iter().find(|known| known.name == name)?;
        Some(Known { attribute, kind })
    };
    KINDS
        .into_iter()
        .find_map(of_kind)
        .ok_or_else(|| Error::argument(format!("no implementation-specific attribute \"{name}\"")))
}

impl Known {
    /// Refuse an instance that is known to be of another kind.
    fn check(&self, instance: *const c_void) -> Result<()> {
        let (kind, is_other) = match self.kind {
            Kind::JobTemplate => {
                ("job template", instances::is_other::<drmaa2_jtemplate_s, _>(instance))
            }
            Kind::JobInfo => ("job info", instances::is_other::<drmaa2_jinfo_s, _>(instance)),
            Kind::Version => ("version", instances::is_other::<drmaa2_version_s, _>(instance)),
        };
        if is_other {
            let name = self.attribute.name;
            return Err(Error::argument(format!("attribute \"{name}\": the instance is no {kind}")));
        }
        Ok(())
    }

    /// The member with the values of a struct of this kind.
    unsafe fn member(&self, instance: *mut c_void) -> *mut drmaa2_dict {
        // SAFETY: it points to a struct of this kind.
        let member = unsafe {
            match self.kind {
                Kind::JobTemplate => {
                    &raw mut (*instance.cast::<drmaa2_jtemplate_s>()).implementationSpecific
                }
                Kind::JobInfo => &raw mut (*instance.cast::<drmaa2_jinfo_s>()).implementationSpecific,
                Kind::Version => &raw mut (*instance.cast::<drmaa2_version_s>()).implementationSpecific,
            }
        };
        member.cast()
    }
}
