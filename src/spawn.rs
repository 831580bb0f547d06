//! Starts a program from inside the host's process, without any effect on the host.
//!
//! No SIGCHLD, no zombie, no fork handlers, and no copy of an address space that may be huge: two
//! `clone` calls that share the memory, the second so that the program is no child of the host. The
//! memory is shared with a process that is stopped meanwhile, so between `clone` and `execve` there are
//! only system calls, whose arguments are prepared before.

use std::ffi::{CString, OsStr, OsString, c_char, c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicI32, Ordering};

use crate::procfs;

use nix::sys::signal::{SigSet, SigmaskHow};

/// The descriptor for the handed object.
pub const DESCRIPTOR: RawFd = 3;

/// The object handed to a program, and the other state that it inherits.
#[derive(Clone, Copy)]
pub enum Handed<'a> {
    /// As [`DESCRIPTOR`], with everything that is not close-on-exec, and every signal blocked. As for
    /// every program, no signal is ignored.
    Descriptor(BorrowedFd<'a>),
    /// Its standard streams, with little else. No signal is blocked.
    Streams(Streams<'a>),
}

/// The standard streams of a program.
#[derive(Clone, Copy)]
pub struct Streams<'a> {
    /// Its standard input.
    pub input: BorrowedFd<'a>,
    /// Its standard output.
    pub output: BorrowedFd<'a>,
    /// Its standard error.
    pub errors: BorrowedFd<'a>,
    /// Kept as [`DESCRIPTOR`]; it is closed when the program ends.
    pub lifeline: Option<BorrowedFd<'a>>,
    /// The user and the group that it runs as, without further groups and in the root directory. `None`:
    /// those of the host, in its directory.
    pub user: Option<(u32, u32)>,
}

/// A stack for each of the two processes; they call nothing but the C library's system calls.
const STACK: usize = 64 * 1024;

/// The length of the kernel's set of signals, bytes.
const SIGNAL_SET: usize = 8;

/// Start `program`, with `arguments[0]` as its name for itself, in a session of its own. Returns when
/// the program has begun; an error is that of the operating system. The result stands for its process;
/// `None` if it has ended already, or the kernel is older than 5.3.
pub fn spawn(
    program: &Path,
    arguments: &[&OsStr],
    variables: &[(OsString, OsString)],
    handed: Handed<'_>,
) -> io::Result<Option<OwnedFd>> {
    let program = text(program.as_os_str().as_bytes())?;
    let arguments: Vec<CString> =
        arguments.iter().map(|argument| text(argument.as_bytes())).collect::<io::Result<_>>()?;
    let variables: Vec<CString> = variables
        .iter()
        .map(|(name, value)| text([name.as_bytes(), b"=", value.as_bytes()].concat()))
        .collect::<io::Result<_>>()?;
    let (arguments, variables) = (pointers(&arguments), pointers(&variables));
    let memory = Memory::map()?;
    let order = Order {
        program: program.as_ptr(),
        arguments: arguments.as_ptr(),
        variables: variables.as_ptr(),
        handed,
        stack: memory.stack(0),
        error: memory.error(),
        pid: memory.pid(),
    };

    // A handler of the host must not run in a child that shares the memory.
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
    let result = run(&order, memory.stack(1));
    // It was the mask before, so setting it cannot fail.
    let _ = before.thread_set_mask();
    result
}

/// Kill a program that was started with [`spawn`], and all others of its session.
pub fn end_session(process: &OwnedFd) {
    let Some(pid) = procfs::pid_of(process) else { return };
    // SAFETY: takes and returns plain numbers. The group of the session exists as long as a process is in it, and the
    // descriptor shows that the number is still that of the program.
    unsafe {
        let session = libc::getsid(pid);
        if session > 0 && procfs::pid_of(process) == Some(pid) {
            libc::kill(-session, libc::SIGKILL);
        }
    }
}

/// The prepared data of the child processes.
struct Order<'a> {
    program: *const c_char,
    arguments: *const *const c_char,
    variables: *const *const c_char,
    handed: Handed<'a>,
    /// Start of the stack of the program's process.
    stack: *mut c_void,
    /// The reason if the program was not started; 0 if it was.
    error: *const AtomicI32,
    /// The number of the program's process.
    pid: *const AtomicI32,
}

fn run(order: &Order<'_>, stack: *mut c_void) -> io::Result<Option<OwnedFd>> {
    let argument = ptr::from_ref(order).cast_mut().cast();
    // SAFETY: the stack is ours alone, and it and the order outlive the child: this thread continues
    // only when the child, which itself waits for its child to execute the program, has ended.
    let child = unsafe { libc::clone(intermediate, stack, SHARED, argument) };
    if child == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `child` is a child of this process that no other code knows, and NULL is allowed.
    unsafe { libc::waitpid(child, ptr::null_mut(), libc::__WCLONE) };
    // SAFETY: both point into the mapping, which lives as long as the order.
    let [error, pid] = unsafe { [&*order.error, &*order.pid] }.map(|word| word.load(Ordering::SeqCst));
    match error {
        0 => Ok(process(pid, child)),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// A descriptor of the program's process, by its number and that of its session. The number may be that of a
/// later process by now; that of the session is nobody else's as long as a process is in it.
fn process(pid: i32, session: i32) -> Option<OwnedFd> {
    let process = procfs::descriptor(u32::try_from(pid).ok()?)?;
    // SAFETY: takes a number. The descriptor was opened first.
    (unsafe { libc::getsid(pid) } == session).then_some(process)
}

/// The memory is that of the waiting parent; the exit is reported only to those who ask for it.
const SHARED: c_int = libc::CLONE_VM | libc::CLONE_VFORK;

/// The intermediate process: it ends at once, so the program's process is an orphan.
extern "C" fn intermediate(order: *mut c_void) -> c_int {
    // SAFETY: `run` passed a valid order. The calls are system calls that touch no memory of others,
    // and the second child has a stack of its own.
    unsafe {
        let shared = &*order.cast::<Order<'_>>();
        libc::setsid();
        let pid = libc::clone(execute, shared.stack, SHARED, order);
        (*shared.pid).store(pid, Ordering::SeqCst);
        if pid == -1 {
            (*shared.error).store(errno(), Ordering::SeqCst);
        }
        libc::_exit(0)
    }
}

/// The program's process.
extern "C" fn execute(order: *mut c_void) -> c_int {
    // SAFETY: `intermediate` passed a valid order, with NUL-terminated strings in NULL-terminated lists.
    // Descriptors are this process's own: their table is not shared.
    unsafe {
        let order = &*order.cast::<Order<'_>>();
        default_signals();
        let moved = match &order.handed {
            Handed::Descriptor(handed) => put(handed.as_raw_fd(), DESCRIPTOR),
            Handed::Streams(streams) => take(streams),
        };
        if moved {
            libc::execve(order.program, order.arguments, order.variables);
        }
        (*order.error).store(errno(), Ordering::SeqCst);
        libc::_exit(127)
    }
}

/// Take the streams, and become their user.
///
/// # Safety
/// Only in a process with a table of descriptors of its own, before it executes a program.
unsafe fn take(streams: &Streams<'_>) -> bool {
    // SAFETY: system calls with plain numbers, valid pointers, and the caller's promise.
    unsafe {
        let mut none = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut());
        // Copies first: one of them may have the number of another's target.
        let copy =
            |from: BorrowedFd<'_>| libc::fcntl(from.as_raw_fd(), libc::F_DUPFD_CLOEXEC, DESCRIPTOR + 1);
        let (output, errors) = (copy(streams.output), copy(streams.errors));
        let lifeline = streams.lifeline.map(copy);
        let moved = put(streams.input.as_raw_fd(), libc::STDIN_FILENO)
            && put(output, libc::STDOUT_FILENO)
            && put(errors, libc::STDERR_FILENO);
        // A kernel before 5.11 refuses; then the program gets what a program of the host would get.
        libc::syscall(libc::SYS_close_range, DESCRIPTOR, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
        moved
            && lifeline.is_none_or(|lifeline| put(lifeline, DESCRIPTOR))
            && streams.user.is_none_or(|(user, group)| become_user(user, group))
    }
}

/// Become a user, with one group and no others.
///
/// # Safety
/// Only in a process of its own.
unsafe fn become_user(user: u32, group: u32) -> bool {
    // SAFETY: system calls with plain numbers, no groups, and a text that ends with NUL. The C library's
    // functions would change the threads of the host, whose memory this process shares.
    unsafe {
        libc::chdir(c"/".as_ptr()) == 0
            && libc::syscall(libc::SYS_setgroups, 0, ptr::null::<libc::gid_t>()) == 0
            && libc::syscall(libc::SYS_setgid, group) == 0
            && libc::syscall(libc::SYS_setuid, user) == 0
    }
}

/// Reset all signals: those that the host ignores would stay ignored in the program, and a handler of
/// the host must not run here once signals are no longer blocked.
///
/// # Safety
/// Only in a process with a table of handlers of its own.
unsafe fn default_signals() {
    // SAFETY: all zeroes stands for SIG_DFL, and is no shorter than what the kernel reads. An error
    // means a signal that cannot be changed. The caller promises the rest.
    unsafe {
        let default: libc::sigaction = std::mem::zeroed();
        let none = ptr::null_mut::<libc::sigaction>();
        for signal in 1..=libc::SIGRTMAX() {
            // The C library's function would omit the signals that it uses itself.
            libc::syscall(libc::SYS_rt_sigaction, signal, &raw const default, none, SIGNAL_SET);
        }
    }
}

/// Make a descriptor that stays open in the program.
///
/// # Safety
/// Only in a process with a table of descriptors of its own.
unsafe fn put(from: RawFd, to: RawFd) -> bool {
    // SAFETY: plain numbers, and the caller's promise. dup2 onto itself would leave close-on-exec set.
    unsafe {
        match from == to {
            true => libc::fcntl(to, libc::F_SETFD, 0) != -1,
            false => libc::dup2(from, to) != -1,
        }
    }
}

/// The error of the last system call of this thread.
fn errno() -> c_int {
    // SAFETY: the C library gives each thread a valid place; a child has that of the waiting parent.
    unsafe { *libc::__errno_location() }
}

fn text(bytes: impl Into<Vec<u8>>) -> io::Result<CString> {
    CString::new(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
}

/// A list in the form for `execve`: pointers, and NULL at the end.
fn pointers(texts: &[CString]) -> Vec<*const c_char> {
    texts.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect()
}

/// The stacks of both children, and two words for their parent. Shared explicitly, for systems that treat
/// `CLONE_VM` with `CLONE_VFORK` as a mere fork.
struct Memory(NonNull<c_void>);

impl Memory {
    const LENGTH: usize = 2 * STACK;

    fn map() -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping, at a place of the kernel's choice, filled with zeros.
        let start = unsafe { libc::mmap(ptr::null_mut(), Self::LENGTH, protection, flags, -1, 0) };
        match NonNull::new(start) {
            Some(start) if start.as_ptr() != libc::MAP_FAILED => Ok(Self(start)),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// The start of a stack: stacks grow downwards.
    fn stack(&self, index: usize) -> *mut c_void {
        // SAFETY: within the mapping, or just behind it.
        unsafe { self.0.as_ptr().byte_add((index + 1) * STACK) }
    }

    /// The word for the error, at the far end of the first stack.
    fn error(&self) -> *const AtomicI32 {
        self.0.as_ptr().cast_const().cast()
    }

    /// The word for the number of the program's process, beside that for the error.
    fn pid(&self) -> *const AtomicI32 {
        self.error().wrapping_add(1)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: mapped by `map` with this length, and no child that used it is left.
        unsafe { libc::munmap(self.0.as_ptr(), Self::LENGTH) };
    }
}
