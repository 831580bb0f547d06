//! The C API: converts arguments, calls the session module, converts results.
//!
//! It decides nothing about jobs. The duties of a caller in every function are described once, at the
//! top of `include/drmaa2.h`, which is generated from this module. `ext` holds the extensions of the
//! standard, in a header of its own.

// The public structs, their members and the enumerators have their names in C.
#![allow(non_camel_case_types, non_snake_case)]
// The duties of callers that all exported functions share are described once, in the header.
#![allow(clippy::missing_safety_doc)]

pub mod agent;
pub mod dict;
mod element;
pub mod enums;
pub mod ext;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod guard;
mod handles;
pub mod impl_spec;
pub mod infos;
mod instances;
pub mod jarray;
pub mod jinfo;
pub mod job;
pub mod jsession;
pub mod jtemplate;
pub mod limits;
pub mod list;
pub mod manager;
mod mem;
pub mod msession;
pub mod notification;
pub mod reservation;
pub mod rsession;
pub mod rtemplate;
pub mod strings;
pub mod types;
mod values;

/// The layout of the standard's header (GFD.230) and of the extensions, for 64-bit Linux.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
const _: () = {
    assert!(size_of::<jtemplate::drmaa2_jtemplate_s>() == 224);
    assert!(size_of::<jinfo::drmaa2_jinfo_s>() == 144);
    assert!(size_of::<rtemplate::drmaa2_rtemplate_s>() == 96);
    assert!(size_of::<infos::drmaa2_rinfo_s>() == 64);
    assert!(size_of::<infos::drmaa2_slotinfo_s>() == 24);
    assert!(size_of::<infos::drmaa2_notification_s>() == 40);
    assert!(size_of::<infos::drmaa2_queueinfo_s>() == 16);
    assert!(size_of::<infos::drmaa2_version_s>() == 24);
    assert!(size_of::<infos::drmaa2_machineinfo_s>() == 96);
    assert!(size_of::<job::drmaa2_j_s>() == 24);
    assert!(size_of::<jarray::drmaa2_jarray_s>() == 24);
    assert!(size_of::<ext::sudo::drmaa2_sudo_s>() == 272);
    assert!(size_of::<reservation::drmaa2_r_s>() == 16);
};
