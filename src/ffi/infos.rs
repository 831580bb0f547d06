//! The small structs that the library reports, and what frees them.

use std::ffi::{c_float, c_longlong, c_void};
use std::ptr;

use libc::time_t;

use crate::model::{Machine, Queue, ReservationInfo, Result, SlotInfo, Text, Version};
use crate::session::Compat;

use super::enums::{
    FALSE, ListType, TRUE, UNSET, drmaa2_bool, drmaa2_cpu, drmaa2_event, drmaa2_jstate, drmaa2_os,
};
use super::list::{Listed, drmaa2_slotinfo_list, drmaa2_string_list};
use super::mem::{self, Block, Owned};
use super::types::{UNSET_TIME, drmaa2_string};
use super::{dict, guard, list, values};

/// Slots of one machine (GFD.231, SlotInfo).
#[repr(C)]
pub struct drmaa2_slotinfo_s {
    /// The machine, by the name that its drmaa2_machineinfo has.
    pub machineName: drmaa2_string,
    /// The number of these slots; -1 if unknown.
    pub slots: c_longlong,
    /// Not used; NULL.
    pub implementationSpecific: *mut c_void,
}
/// Slots of one machine; free it with drmaa2_slotinfo_free.
pub type drmaa2_slotinfo = *mut drmaa2_slotinfo_s;

/// A reservation (GFD.231, ReservationInfo).
#[repr(C)]
pub struct drmaa2_rinfo_s {
    /// Its id.
    pub reservationId: drmaa2_string,
    /// The name its template gave it, or NULL.
    pub reservationName: drmaa2_string,
    /// Start time, seconds since the epoch.
    pub reservedStartTime: time_t,
    /// Time of its end, seconds since the epoch; the time at which it ended, if it was given up.
    pub reservedEndTime: time_t,
    /// The users that may use it.
    pub usersACL: drmaa2_string_list,
    /// The number of its slots; -1 if unknown.
    pub reservedSlots: c_longlong,
    /// The machines that its slots are on.
    pub reservedMachines: drmaa2_slotinfo_list,
    /// Not used; NULL.
    pub implementationSpecific: *mut c_void,
}
/// A reservation; free it with drmaa2_rinfo_free.
pub type drmaa2_rinfo = *mut drmaa2_rinfo_s;

/// Something that happened to a job (GFD.231, DrmaaNotification). Here that is always
/// DRMAA2_NEW_STATE.
#[repr(C)]
pub struct drmaa2_notification_s {
    /// Its kind.
    pub event: drmaa2_event,
    /// The job.
    pub jobId: drmaa2_string,
    /// The session of the job; NULL if it has been destroyed.
    pub sessionName: drmaa2_string,
    /// The state the job is in since.
    pub jobState: drmaa2_jstate,
    /// Not used; NULL.
    pub implementationSpecific: *mut c_void,
}
/// Something that happened to a job; free it with drmaa2_notification_free.
pub type drmaa2_notification = *mut drmaa2_notification_s;

/// A queue (GFD.231, QueueInfo).
#[repr(C)]
pub struct drmaa2_queueinfo_s {
    /// The name that queueName of a job template may have.
    pub name: drmaa2_string,
    /// Not used; NULL.
    pub implementationSpecific: *mut c_void,
}
/// A queue; free it with drmaa2_queueinfo_free.
pub type drmaa2_queueinfo = *mut drmaa2_queueinfo_s;

/// A version in two parts (GFD.231, Version). Neither is NULL.
#[repr(C)]
pub struct drmaa2_version_s {
    /// Before the first dot; "2" in drmaa2_get_drmaa_version.
    pub major: drmaa2_string,
    /// All that follows it.
    pub minor: drmaa2_string,
    /// For the library; NULL in a version made without it.
    pub implementationSpecific: *mut c_void,
}
/// A version; free it with drmaa2_version_free.
pub type drmaa2_version = *mut drmaa2_version_s;

/// An execution machine (GFD.231, MachineInfo).
#[repr(C)]
pub struct drmaa2_machineinfo_s {
    /// Its name, as candidateMachines of a job template may have it.
    pub name: drmaa2_string,
    /// Can it take jobs now?
    pub available: drmaa2_bool,
    /// The number of its CPU packages.
    pub sockets: c_longlong,
    /// The number of cores of a package.
    pub coresPerSocket: c_longlong,
    /// The number of hardware threads of a core.
    pub threadsPerCore: c_longlong,
    /// Load average over the last minute; -1 if unknown.
    pub load: c_float,
    /// Physical memory, kilobytes.
    pub physMemory: c_longlong,
    /// Physical memory and swap together, kilobytes.
    pub virtMemory: c_longlong,
    /// Its operating system.
    pub machineOS: drmaa2_os,
    /// The version of the operating system, or NULL if unknown.
    pub machineOSVersion: drmaa2_version,
    /// Its architecture.
    pub machineArch: drmaa2_cpu,
    /// Not used; NULL.
    pub implementationSpecific: *mut c_void,
}
/// An execution machine; free it with drmaa2_machineinfo_free.
pub type drmaa2_machineinfo = *mut drmaa2_machineinfo_s;

/// Free a slot info with its name and set *si to NULL. Nothing happens if si or *si is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_slotinfo_free(si: *mut drmaa2_slotinfo) {
    // SAFETY: the caller hands over a slot info.
    guard::quiet((), || unsafe { mem::free(si) });
}

/// Free a reservation info with all its strings and lists and set *ri to NULL. Nothing happens if
/// ri or *ri is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_rinfo_free(ri: *mut drmaa2_rinfo) {
    // SAFETY: the caller hands over a reservation info.
    guard::quiet((), || unsafe { mem::free(ri) });
}

/// Free a notification with its strings and set *n to NULL. Nothing happens if n or *n is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_notification_free(n: *mut drmaa2_notification) {
    // SAFETY: the caller hands over a notification.
    guard::quiet((), || unsafe { mem::free(n) });
}

/// Free a queue info with its name and set *qi to NULL. Nothing happens if qi or *qi is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_queueinfo_free(qi: *mut drmaa2_queueinfo) {
    // SAFETY: the caller hands over a queue info.
    guard::quiet((), || unsafe { mem::free(qi) });
}

/// Free a version with its strings and set *v to NULL. Nothing happens if v or *v is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_version_free(v: *mut drmaa2_version) {
    // SAFETY: the caller hands over a version.
    guard::quiet((), || unsafe { mem::free(v) });
}

/// Free a machine info with its name and version and set *mi to NULL. Nothing happens if mi or *mi
/// is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_machineinfo_free(mi: *mut drmaa2_machineinfo) {
    // SAFETY: the caller hands over a machine info.
    guard::quiet((), || unsafe { mem::free(mi) });
}

/// Free a queue info as drmaa2_queueinfo_free does; for lists of queue infos.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_queueinfo_list_default_callback(value: *mut *mut c_void) {
    // SAFETY: the caller hands over a queue info.
    guard::quiet((), || unsafe { mem::free::<drmaa2_queueinfo_s>(value.cast()) });
}

/// Free a machine info as drmaa2_machineinfo_free does; for lists of machine infos.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_machineinfo_list_default_callback(value: *mut *mut c_void) {
    // SAFETY: the caller hands over a machine info.
    guard::quiet((), || unsafe { mem::free::<drmaa2_machineinfo_s>(value.cast()) });
}

/// Free a slot info as drmaa2_slotinfo_free does; for lists of slot infos.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn drmaa2_slotinfo_list_default_callback(value: *mut *mut c_void) {
    // SAFETY: the caller hands over a slot info.
    guard::quiet((), || unsafe { mem::free::<drmaa2_slotinfo_s>(value.cast()) });
}

impl drmaa2_rinfo_s {
    /// Nothing is set.
    pub(super) fn unset() -> Self {
        Self {
            reservationId: ptr::null_mut(),
            reservationName: ptr::null_mut(),
            reservedStartTime: UNSET_TIME,
            reservedEndTime: UNSET_TIME,
            usersACL: ptr::null_mut(),
            reservedSlots: UNSET.into(),
            reservedMachines: ptr::null_mut(),
            implementationSpecific: ptr::null_mut(),
        }
    }
}

impl Block for drmaa2_slotinfo_s {
    unsafe fn free_members(this: *mut Self) {
        // SAFETY: the members are the block's own.
        unsafe { mem::free_string(&raw mut (*this).machineName) };
    }
}

impl Listed for drmaa2_slotinfo_s {
    const KIND: ListType = ListType::DRMAA2_SLOTINFOLIST;
    const RELEASE: unsafe extern "C" fn(*mut *mut c_void) = drmaa2_slotinfo_list_default_callback;
}

impl Block for drmaa2_rinfo_s {
    unsafe fn free_members(this: *mut Self) {
        // SAFETY: the members are the block's own.
        unsafe {
            mem::free_string(&raw mut (*this).reservationId);
            mem::free_string(&raw mut (*this).reservationName);
            list::free(&raw mut (*this).usersACL);
            list::free(&raw mut (*this).reservedMachines);
        }
    }
}

impl Block for drmaa2_notification_s {
    unsafe fn free_members(this: *mut Self) {
        // SAFETY: the members are the block's own.
        unsafe {
            mem::free_string(&raw mut (*this).jobId);
            mem::free_string(&raw mut (*this).sessionName);
        }
    }
}

impl Block for drmaa2_queueinfo_s {
    unsafe fn free_members(this: *mut Self) {
        // SAFETY: the members are the block's own.
        unsafe { mem::free_string(&raw mut (*this).name) };
    }
}

impl Listed for drmaa2_queueinfo_s {
    const KIND: ListType = ListType::DRMAA2_QUEUEINFOLIST;
    const RELEASE: unsafe extern "C" fn(*mut *mut c_void) = drmaa2_queueinfo_list_default_callback;
}

impl Block for drmaa2_version_s {
    unsafe fn free_members(this: *mut Self) {
        // SAFETY: the members are the block's own.
        unsafe {
            mem::free_string(&raw mut (*this).major);
            mem::free_string(&raw mut (*this).minor);
            dict::free((&raw mut (*this).implementationSpecific).cast());
        }
    }
}

impl Block for drmaa2_machineinfo_s {
    unsafe fn free_members(this: *mut Self) {
        // SAFETY: the members are the block's own.
        unsafe {
            mem::free_string(&raw mut (*this).name);
            mem::free(&raw mut (*this).machineOSVersion);
        }
    }
}

impl Listed for drmaa2_machineinfo_s {
    const KIND: ListType = ListType::DRMAA2_MACHINEINFOLIST;
    const RELEASE: unsafe extern "C" fn(*mut *mut c_void) = drmaa2_machineinfo_list_default_callback;
}

pub(super) fn slotinfo(slot: &SlotInfo) -> Result<Owned<drmaa2_slotinfo_s>> {
    let mut block = Owned::new(drmaa2_slotinfo_s {
        machineName: ptr::null_mut(),
        slots: slot.slots,
        implementationSpecific: ptr::null_mut(),
    })?;
    block.machineName = mem::string(&slot.machine)?;
    Ok(block)
}

/// The machines of these slots. Altair Grid Engine's clients read only their names.
pub(super) fn machines(slots: &[SlotInfo], compat: Compat) -> Result<drmaa2_slotinfo_list> {
    match compat {
        Compat::Standard => list::of_blocks(slots.iter().map(slotinfo)),
        Compat::Age => list::of_strings(slots.iter().map(|slot| &slot.machine)),
    }
}

pub(super) fn rinfo(info: &ReservationInfo, compat: Compat) -> Result<Owned<drmaa2_rinfo_s>> {
    let mut block = Owned::new(drmaa2_rinfo_s {
        reservedStartTime: info.begins.div_euclid(1000),
        reservedEndTime: info.ends.div_euclid(1000),
        reservedSlots: info.slots,
        ..drmaa2_rinfo_s::unset()
    })?;
    block.reservationId = mem::string(&info.id)?;
    block.reservationName = mem::optional_string(info.name.as_ref())?;
    block.usersACL = list::of_strings(&info.users)?;
    block.reservedMachines = machines(&info.machines, compat)?;
    Ok(block)
}

pub(super) fn queueinfo(queue: &Queue) -> Result<Owned<drmaa2_queueinfo_s>> {
    let mut block = Owned::new(drmaa2_queueinfo_s {
        name: ptr::null_mut(),
        implementationSpecific: ptr::null_mut(),
    })?;
    block.name = mem::string(&queue.name)?;
    Ok(block)
}

pub(super) fn version(version: &Version) -> Result<Owned<drmaa2_version_s>> {
    let mut block = Owned::new(drmaa2_version_s {
        major: ptr::null_mut(),
        minor: ptr::null_mut(),
        implementationSpecific: ptr::null_mut(),
    })?;
    block.major = mem::string(&version.major)?;
    block.minor = mem::string(&version.minor)?;
    let extensions = version.extensions().into_iter();
    block.implementationSpecific =
        values::member(extensions.map(|(name, value)| (name, Text::from(value))))?;
    Ok(block)
}

pub(super) fn machineinfo(machine: &Machine, compat: Compat) -> Result<Owned<drmaa2_machineinfo_s>> {
    // Altair Grid Engine has these two in exchanged order.
    let (os, arch) = match compat {
        Compat::Standard => (machine.os as drmaa2_os, machine.arch as drmaa2_cpu),
        Compat::Age => (machine.arch as drmaa2_cpu, machine.os as drmaa2_os),
    };
    let mut block = Owned::new(drmaa2_machineinfo_s {
        name: ptr::null_mut(),
        available: if machine.available { TRUE } else { FALSE },
        sockets: machine.sockets,
        coresPerSocket: machine.cores_per_socket,
        threadsPerCore: machine.threads_per_core,
        load: machine.load.unwrap_or(-1.0),
        physMemory: machine.phys_memory,
        virtMemory: machine.virt_memory,
        machineOS: os,
        machineOSVersion: ptr::null_mut(),
        machineArch: arch,
        implementationSpecific: ptr::null_mut(),
    })?;
    block.name = mem::string(&machine.name)?;
    if let Some(release) = &machine.os_version {
        block.machineOSVersion = version(release)?.into_raw();
    }
    Ok(block)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Cpu, Os};

    #[test]
    fn a_reservation_is_told_in_seconds() {
        let reservation = ReservationInfo {
            id: "r1".into(),
            name: None,
            begins: 1_000_000,
            ends: 1_059_345,
            users: vec!["a".into(), "b".into()],
            slots: 2,
            machines: vec![SlotInfo { machine: "node1".into(), slots: 2 }],
        };
        let info = rinfo(&reservation, Compat::Standard).unwrap();
        assert_eq!((info.reservedStartTime, info.reservedEndTime), (1000, 1059));
        assert_eq!(info.reservedSlots, 2);
        assert!(info.reservationName.is_null());
        // SAFETY: just made.
        unsafe {
            assert_eq!(mem::bytes(info.reservationId), Some(&b"r1"[..]));
            assert_eq!(list::names("users", info.usersACL).unwrap().unwrap(), reservation.users);
            let machines = list::blocks::<drmaa2_slotinfo_s>(info.reservedMachines).unwrap().unwrap();
            assert_eq!(mem::bytes((*machines[0]).machineName), Some(&b"node1"[..]));
            assert_eq!((*machines[0]).slots, 2);
            let info = rinfo(&reservation, Compat::Age).unwrap();
            assert_eq!(list::names("machines", info.reservedMachines).unwrap().unwrap(), ["node1"]);
        }
    }

    #[test]
    fn a_machine_keeps_its_numbers() {
        let machine = Machine {
            name: "node1".into(),
            available: true,
            sockets: 2,
            cores_per_socket: 8,
            threads_per_core: 1,
            load: None,
            phys_memory: 1024,
            virt_memory: 2048,
            os: Os::Linux,
            os_version: Some(Version::parse("6.1.0")),
            arch: Cpu::X64,
        };
        let info = machineinfo(&machine, Compat::Standard).unwrap();
        assert_eq!((info.available, info.sockets, info.load), (TRUE, 2, -1.0));
        assert_eq!((info.physMemory, info.virtMemory), (1024, 2048));
        assert_eq!((info.machineOS, info.machineArch), (3, 8));
        let swapped = machineinfo(&machine, Compat::Age).unwrap();
        assert_eq!((swapped.machineOS, swapped.machineArch), (8, 3));
        // SAFETY: just made.
        unsafe {
            assert_eq!(mem::bytes(info.name), Some(&b"node1"[..]));
            assert_eq!(mem::bytes((*info.machineOSVersion).minor), Some(&b"1.0"[..]));
        }
    }
}
