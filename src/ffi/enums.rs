//! The C enums.
//!
//! A caller may put any number into an enum, and a Rust enum with an unlisted number is undefined
//! behaviour. So functions and structs use the integer types below, under C's names of the enums; the
//! Rust enums exist for their numbers and for the header, in which `cbindgen.toml` gives them the C
//! names.

use std::ffi::c_int;

/// cbindgen:ignore
pub type drmaa2_jstate = c_int;
/// cbindgen:ignore
pub type drmaa2_os = c_int;
/// cbindgen:ignore
pub type drmaa2_cpu = c_int;
/// cbindgen:ignore
pub type drmaa2_event = c_int;
/// cbindgen:ignore
pub type drmaa2_capability = c_int;
/// cbindgen:ignore
pub type drmaa2_bool = c_int;
/// cbindgen:ignore
pub type drmaa2_error = c_int;
/// cbindgen:ignore
pub type drmaa2_listtype = c_int;

/// cbindgen:ignore
pub(super) const FALSE: drmaa2_bool = Bool::DRMAA2_FALSE as c_int;
/// cbindgen:ignore
pub(super) const TRUE: drmaa2_bool = Bool::DRMAA2_TRUE as c_int;

/// The value of a number or an enum member that is not set.
///
/// cbindgen:ignore
pub(super) const UNSET: c_int = -1;

/// The state of a job (GFD.231, JobState).
#[derive(Clone, Copy)]
#[repr(C)]
pub enum JState {
    /// No value; what drmaa2_j_get_state returns on error.
    DRMAA2_UNSET_JSTATE = -1,
    /// Cannot be found out, for good.
    DRMAA2_UNDETERMINED = 0,
    /// Waiting and eligible to run.
    DRMAA2_QUEUED = 1,
    /// Waiting, on hold.
    DRMAA2_QUEUED_HELD = 2,
    /// Executing.
    DRMAA2_RUNNING = 3,
    /// Started, and stopped for now.
    DRMAA2_SUSPENDED = 4,
    /// Ran before, was put back, eligible to run.
    DRMAA2_REQUEUED = 5,
    /// Ran before, was put back, on hold.
    DRMAA2_REQUEUED_HELD = 6,
    /// Ended with exit code 0.
    DRMAA2_DONE = 7,
    /// Ended in any other way.
    DRMAA2_FAILED = 8,
}

/// An operating system (GFD.231, OperatingSystem).
#[allow(missing_docs)]
#[derive(Clone, Copy)]
#[repr(C)]
pub enum Os {
    /// No value.
    DRMAA2_UNSET_OS = -1,
    /// None of the list.
    DRMAA2_OTHER_OS = 0,
    DRMAA2_AIX = 1,
    /// Any BSD.
    DRMAA2_BSD = 2,
    DRMAA2_LINUX = 3,
    DRMAA2_HPUX = 4,
    DRMAA2_IRIX = 5,
    DRMAA2_MACOS = 6,
    DRMAA2_SUNOS = 7,
    DRMAA2_TRU64 = 8,
    DRMAA2_UNIXWARE = 9,
    /// Windows before NT.
    DRMAA2_WIN = 10,
    /// Windows NT and its successors.
    DRMAA2_WINNT = 11,
}

/// A processor architecture (GFD.231, CpuArchitecture).
#[allow(missing_docs)]
#[derive(Clone, Copy)]
#[repr(C)]
pub enum Cpu {
    /// No value.
    DRMAA2_UNSET_CPU = -1,
    /// None of the list.
    DRMAA2_OTHER_CPU = 0,
    DRMAA2_ALPHA = 1,
    /// 32-bit ARM.
    DRMAA2_ARM = 2,
    DRMAA2_ARM64 = 3,
    DRMAA2_CELL = 4,
    DRMAA2_PARISC = 5,
    DRMAA2_PARISC64 = 6,
    /// 32-bit x86.
    DRMAA2_X86 = 7,
    /// 64-bit x86.
    DRMAA2_X64 = 8,
    DRMAA2_IA64 = 9,
    DRMAA2_MIPS = 10,
    DRMAA2_MIPS64 = 11,
    DRMAA2_PPC = 12,
    DRMAA2_PPC64 = 13,
    DRMAA2_SPARC = 14,
    DRMAA2_SPARC64 = 15,
    /// 64-bit PowerPC, little endian.
    DRMAA2_PPC64LE = 16,
}

/// The subject of a notification (GFD.231, DrmaaEvent).
#[derive(Clone, Copy)]
#[repr(C)]
pub enum Event {
    /// No value.
    DRMAA2_UNSET_EVENT = -1,
    /// The job has entered another state.
    DRMAA2_NEW_STATE = 0,
    /// The job was moved to other machines.
    DRMAA2_MIGRATED = 1,
    /// Something else in the job's info has changed.
    DRMAA2_ATTRIBUTE_CHANGE = 2,
}

/// An optional feature, for drmaa2_supports (GFD.231, DrmaaCapability).
#[derive(Clone, Copy)]
#[repr(C)]
pub enum Capability {
    /// No value.
    DRMAA2_UNSET_CAPABILITY = -1,
    /// Reservation sessions and reservations.
    DRMAA2_ADVANCE_RESERVATION = 0,
    /// Reservations reserve slots, not whole machines.
    DRMAA2_RESERVE_SLOTS = 1,
    /// drmaa2_register_event_notification.
    DRMAA2_CALLBACK = 2,
    /// The argument max_parallel of drmaa2_jsession_run_bulk_jobs.
    DRMAA2_BULK_JOBS_MAXPARALLEL = 3,
    /// The attributes email, emailOnStarted and emailOnTerminated.
    DRMAA2_JT_EMAIL = 4,
    /// The attributes stageInFiles and stageOutFiles.
    DRMAA2_JT_STAGING = 5,
    /// The attribute deadlineTime.
    DRMAA2_JT_DEADLINE = 6,
    /// The attribute maxSlots.
    DRMAA2_JT_MAXSLOTS = 7,
    /// The attribute accountingId.
    DRMAA2_JT_ACCOUNTINGID = 8,
    /// DRMAA2_NOW as startTime of a reservation.
    DRMAA2_RT_STARTNOW = 9,
    /// The attribute duration of a reservation.
    DRMAA2_RT_DURATION = 10,
    /// The attribute machineOS of a reservation.
    DRMAA2_RT_MACHINEOS = 11,
    /// The attribute machineArch of a reservation.
    DRMAA2_RT_MACHINEARCH = 12,
}

/// No or yes. In a template, FALSE is also "not set".
#[derive(Clone, Copy)]
#[repr(C)]
pub enum Bool {
    /// No.
    DRMAA2_FALSE = 0,
    /// Yes.
    DRMAA2_TRUE = 1,
}

/// An error code (GFD.231, exceptions).
#[derive(Clone, Copy)]
#[repr(C)]
pub enum ErrorNumber {
    /// No value.
    DRMAA2_UNSET_ERROR = -1,
    /// The call did what it says.
    DRMAA2_SUCCESS = 0,
    /// Refused for reasons of security or policy.
    DRMAA2_DENIED_BY_DRMS = 1,
    /// The DRM system cannot be reached; unknown whether that will pass.
    DRMAA2_DRM_COMMUNICATION = 2,
    /// Overload that passes; the same call may succeed later.
    DRMAA2_TRY_LATER = 3,
    /// Trouble with the stored sessions.
    DRMAA2_SESSION_MANAGEMENT = 4,
    /// The waiting time is over.
    DRMAA2_TIMEOUT = 5,
    /// Unexpected and unclassified.
    DRMAA2_INTERNAL = 6,
    /// Bad input, unknown name or id, reaped job.
    DRMAA2_INVALID_ARGUMENT = 7,
    /// The session handle is closed, destroyed, freed or NULL.
    DRMAA2_INVALID_SESSION = 8,
    /// The operation is not allowed in the job's current state.
    DRMAA2_INVALID_STATE = 9,
    /// Memory, descriptors or disk are exhausted.
    DRMAA2_OUT_OF_RESOURCE = 10,
    /// An optional attribute is set that is not supported.
    DRMAA2_UNSUPPORTED_ATTRIBUTE = 11,
    /// An optional function that is not supported.
    DRMAA2_UNSUPPORTED_OPERATION = 12,
    /// Anything else an implementation documents. Never returned.
    DRMAA2_IMPLEMENTATION_SPECIFIC = 13,
    /// End of the list. Never returned.
    DRMAA2_LASTERROR = 14,
}

/// The type of the elements of a list.
#[derive(Clone, Copy)]
#[repr(C)]
pub enum ListType {
    /// No value.
    DRMAA2_UNSET_LISTTYPE = -1,
    /// char *
    DRMAA2_STRINGLIST = 0,
    /// drmaa2_j
    DRMAA2_JOBLIST = 1,
    /// drmaa2_queueinfo
    DRMAA2_QUEUEINFOLIST = 2,
    /// drmaa2_machineinfo
    DRMAA2_MACHINEINFOLIST = 3,
    /// drmaa2_slotinfo
    DRMAA2_SLOTINFOLIST = 4,
    /// drmaa2_r
    DRMAA2_RESERVATIONLIST = 5,
}

/// The numbers here and in the model are the same.
const _: () = {
    use crate::model::{Cpu as ModelCpu, ErrorCode, JobState, Os as ModelOs};
    assert!(JState::DRMAA2_UNDETERMINED as c_int == JobState::Undetermined as c_int);
    assert!(JState::DRMAA2_QUEUED as c_int == JobState::Queued as c_int);
    assert!(JState::DRMAA2_QUEUED_HELD as c_int == JobState::QueuedHeld as c_int);
    assert!(JState::DRMAA2_RUNNING as c_int == JobState::Running as c_int);
    assert!(JState::DRMAA2_SUSPENDED as c_int == JobState::Suspended as c_int);
    assert!(JState::DRMAA2_REQUEUED as c_int == JobState::Requeued as c_int);
    assert!(JState::DRMAA2_REQUEUED_HELD as c_int == JobState::RequeuedHeld as c_int);
    assert!(JState::DRMAA2_DONE as c_int == JobState::Done as c_int);
    assert!(JState::DRMAA2_FAILED as c_int == JobState::Failed as c_int);
    assert!(Os::DRMAA2_OTHER_OS as c_int == ModelOs::Other as c_int);
    assert!(Os::DRMAA2_LINUX as c_int == ModelOs::Linux as c_int);
    assert!(Cpu::DRMAA2_OTHER_CPU as c_int == ModelCpu::Other as c_int);
    assert!(Cpu::DRMAA2_ARM as c_int == ModelCpu::Arm as c_int);
    assert!(Cpu::DRMAA2_ARM64 as c_int == ModelCpu::Arm64 as c_int);
    assert!(Cpu::DRMAA2_X86 as c_int == ModelCpu::X86 as c_int);
    assert!(Cpu::DRMAA2_X64 as c_int == ModelCpu::X64 as c_int);
    assert!(Cpu::DRMAA2_MIPS as c_int == ModelCpu::Mips as c_int);
    assert!(Cpu::DRMAA2_MIPS64 as c_int == ModelCpu::Mips64 as c_int);
    assert!(Cpu::DRMAA2_PPC64 as c_int == ModelCpu::Ppc64 as c_int);
    assert!(Cpu::DRMAA2_PPC64LE as c_int == ModelCpu::Ppc64Le as c_int);
    assert!(ErrorNumber::DRMAA2_SUCCESS as c_int == ErrorCode::Success as c_int);
    assert!(ErrorNumber::DRMAA2_DENIED_BY_DRMS as c_int == ErrorCode::DeniedByDrms as c_int);
    assert!(ErrorNumber::DRMAA2_DRM_COMMUNICATION as c_int == ErrorCode::DrmCommunication as c_int);
    assert!(ErrorNumber::DRMAA2_TRY_LATER as c_int == ErrorCode::TryLater as c_int);
    assert!(ErrorNumber::DRMAA2_SESSION_MANAGEMENT as c_int == ErrorCode::SessionManagement as c_int);
    assert!(ErrorNumber::DRMAA2_TIMEOUT as c_int == ErrorCode::Timeout as c_int);
    assert!(ErrorNumber::DRMAA2_INTERNAL as c_int == ErrorCode::Internal as c_int);
    assert!(ErrorNumber::DRMAA2_INVALID_ARGUMENT as c_int == ErrorCode::InvalidArgument as c_int);
    assert!(ErrorNumber::DRMAA2_INVALID_SESSION as c_int == ErrorCode::InvalidSession as c_int);
    assert!(ErrorNumber::DRMAA2_INVALID_STATE as c_int == ErrorCode::InvalidState as c_int);
    assert!(ErrorNumber::DRMAA2_OUT_OF_RESOURCE as c_int == ErrorCode::OutOfResource as c_int);
    assert!(
        ErrorNumber::DRMAA2_UNSUPPORTED_ATTRIBUTE as c_int == ErrorCode::UnsupportedAttribute as c_int
    );
    assert!(
        ErrorNumber::DRMAA2_UNSUPPORTED_OPERATION as c_int == ErrorCode::UnsupportedOperation as c_int
    );
    assert!(
        ErrorNumber::DRMAA2_IMPLEMENTATION_SPECIFIC as c_int
            == ErrorCode::ImplementationSpecific as c_int
    );
};
