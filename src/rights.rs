//! The rights for access to files of the host: those of this process, or those of a user on whose behalf
//! it acts.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::unistd::geteuid;

pub use drmaa2_cdi::file::read;

use crate::model::{Error, ErrorCode, Result};
use crate::sync::Mutex;
use crate::tracker::Submitter;
use crate::{fork, runtime};

/// Allows one thread at a time to take on rights.
static TAKING: Mutex<()> = Mutex::new(());

/// The third version of capset(2), which takes 64 capabilities.
const CAPABILITY_VERSION: u32 = 0x2008_0522;

#[repr(C)]
struct CapabilityHeader {
    version: u32,
    thread: i32,
}

/// Work on files with the rights of `user`. If this process runs as another user, that is done on a
/// thread which has only those rights and ends with the work; DENIED_BY_DRMS if it cannot get them.
pub fn of<T: Send>(user: &Submitter, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    if user.uid == geteuid().as_raw() {
        return work();
    }
    runtime::apart("drmaa2-rights", || {
        assume(user).map_err(|error| {
            let text = format!("cannot take on the rights of user {}: {error}", user.user);
            Error::new(ErrorCode::DeniedByDrms, text)
        })?;
        work()
    })?
}

/// Give this thread the user's rights.
fn assume(user: &Submitter) -> io::Result<()> {
    // A forked child must find the lock free.
    let _whole = fork::whole();
    let _alone = TAKING.lock();
    // The kernel treats such a change like a set-user-ID program, and would let the process dump no core
    // from then on.
    // SAFETY: only numbers are passed.
    let dumpable = unsafe { libc::prctl(libc::PR_GET_DUMPABLE) };
    let taken = take(user);
    if dumpable == 1 {
        // SAFETY: only numbers are passed.
        unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0) };
    }
    taken
}

/// Take the user's groups and ids for files, and drop all capabilities. The thread's other ids stay: by
/// these the kernel judges who may send it a signal, which would go to the process.
fn take(user: &Submitter) -> io::Result<()> {
    let header = CapabilityHeader { version: CAPABILITY_VERSION, thread: 0 };
    let none = [0_u32; 6];
    // SAFETY: the list of groups is valid for its length, and the capabilities have the layout of the
    // named version. The system call itself is used if the C library's function would change all
    // threads.
    unsafe {
        check(libc::syscall(libc::SYS_setgroups, user.groups.len(), user.groups.as_ptr()))?;
        libc::setfsgid(user.gid);
        libc::setfsuid(user.uid);
        if (fs_uid(), fs_gid()) != (user.uid, user.gid) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        check(libc::syscall(libc::SYS_capset, &raw const header, none.as_ptr()))
    }
}

/// The user id of this thread for access to files.
fn fs_uid() -> u32 {
    // SAFETY: with an invalid id, it changes nothing and returns the present one.
    unsafe { libc::setfsuid(u32::MAX) }.cast_unsigned()
}

/// The group id, likewise.
fn fs_gid() -> u32 {
    // SAFETY: as above.
    unsafe { libc::setfsgid(u32::MAX) }.cast_unsigned()
}

/// Returns whether this thread may access a file in mode `what` of access(2).
pub fn may(path: &Path, what: i32) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let (at, flags) = (libc::AT_FDCWD, libc::AT_EACCESS);
    // SAFETY: the path ends in NUL.
    let answer = check(unsafe { libc::syscall(libc::SYS_faccessat2, at, path.as_ptr(), what, flags) });
    match answer {
        // Before Linux 5.8 the C library has to emulate it, with the ids of the process.
        Err(error) if error.raw_os_error() == Some(libc::ENOSYS) && fs_uid() == geteuid().as_raw() => {
            // SAFETY: as above.
            check(unsafe { libc::faccessat(at, path.as_ptr(), what, flags) }.into())
        }
        answer => answer,
    }
}

fn check(answer: libc::c_long) -> io::Result<()> {
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    /// A user whose groups own nothing here.
    pub(crate) fn nobody() -> Submitter {
        Submitter {
            user: "nobody".into(),
            uid: 65534,
            gid: 65534,
            groups: vec![65534, 4711],
            umask: 0o22,
            machine: "m".into(),
        }
    }

    fn process_status(name: &str) -> String {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned()
    }

    /// The tests may run as a user other than root, who may act for no other user.
    fn is_root() -> bool {
        geteuid().is_root()
    }

    #[test]
    fn a_file_is_read_as_far_as_it_may_be_long() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "1234").unwrap();
        assert_eq!(read(&file, 4).unwrap(), b"1234");
        assert_eq!(read(&file, 3).unwrap_err().to_string(), "it is larger than 3 bytes");
        assert_eq!(
            read(Path::new("/dev/zero"), 3).unwrap_err().to_string(),
            "it is larger than 3 bytes"
        );
        assert_eq!(read(Path::new("/dev/null"), 3).unwrap(), b"");
        assert_eq!(read(&dir.path().join("none"), 3).unwrap_err().kind(), io::ErrorKind::NotFound);
        let pipe = dir.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRUSR).unwrap();
        assert_eq!(read(&pipe, 3).unwrap_err().to_string(), "it is a pipe, and not a file");
    }

    #[test]
    fn who_is_not_root_gets_no_rights_of_others() {
        if is_root() {
            return;
        }
        let root = Submitter { user: "root".into(), uid: 0, gid: 0, ..nobody() };
        let error = of(&root, || Ok(())).unwrap_err();
        assert_eq!(error.code, ErrorCode::DeniedByDrms);
        assert!(error.message.contains("rights of user root"), "{error}");
    }

    #[test]
    fn another_user_sees_and_makes_files_as_he_would_himself() {
        if !is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let (secret, group, his) =
            (dir.path().join("secret"), dir.path().join("group"), dir.path().join("his"));
        fs::write(&secret, "x").unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&group, "x").unwrap();
        fs::set_permissions(&group, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::chown(&group, None, Some(4711)).unwrap();
        fs::create_dir(&his).unwrap();
        std::os::unix::fs::chown(&his, Some(65534), Some(65534)).unwrap();
        let before = (process_status("CapEff:"), process_status("Groups:"));
        // SAFETY: only numbers are passed.
        let dumpable = || unsafe { libc::prctl(libc::PR_GET_DUMPABLE) };
        let dumped = dumpable();

        of(&nobody(), || {
            assert_eq!(File::open(&secret).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
            assert_eq!(may(&secret, libc::R_OK).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
            assert!(may(dir.path(), libc::W_OK).is_err());
            may(&group, libc::R_OK).unwrap();
            File::open(&group).unwrap();
            may(&his, libc::W_OK | libc::X_OK).unwrap();
            fs::write(his.join("out"), "").unwrap();
            Ok(())
        })
        .unwrap();

        let made = fs::metadata(his.join("out")).unwrap();
        assert_eq!((made.uid(), made.gid()), (65534, 65534));
        may(&secret, libc::R_OK).unwrap();
        assert_eq!((process_status("CapEff:"), process_status("Groups:")), before);
        assert_eq!(dumpable(), dumped);
    }

    #[test]
    fn an_error_and_a_panic_of_the_work_come_back() {
        if !is_root() {
            return;
        }
        let failed: Result<()> = of(&nobody(), || Err(Error::argument("no")));
        assert_eq!(failed.unwrap_err(), Error::argument("no"));
        let died: Result<()> = of(&nobody(), || panic!("expected by the test"));
        assert_eq!(died.unwrap_err().code, ErrorCode::Internal);
    }
}
