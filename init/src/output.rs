//! The job's output, on its way into regular files.
//!
//! The job has a pipe in place of such a file, as usual for containers. `/dev/stderr` and
//! `/proc/self/fd/2` open the target of descriptor 2 once more: a file would be emptied by the `>` of a
//! shell, or closed to the job's user; a pipe gets just another writer.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use drmaa2_init::Order;

use crate::failure::Failure;
use crate::rlimit;

/// Bytes copied at a time; a pipe holds no more.
const CHUNK: usize = 64 * 1024;
/// A file system that takes longer for the rest of two pipes does not answer any more.
const PATIENCE: Duration = Duration::from_secs(60);
/// Stack of the copying thread, which has little to remember.
const STACK: usize = 128 * 1024;

/// The streams of the job that are pipes; the others are the order's files themselves.
#[derive(Default)]
pub(crate) struct Pipes {
    pub(crate) stdout: Option<PipeWriter>,
    pub(crate) stderr: Option<PipeWriter>,
}

/// The files behind the pipes.
pub(crate) struct Outputs(Vec<Output>);

/// A pipe that the job writes to, and the file that it ends up in.
struct Output {
    /// The attribute of the job template, with the path on the host if that is known.
    name: String,
    /// `None` once all is copied.
    pipe: Option<PipeReader>,
    file: File,
    /// The largest size of the file in bytes, and the text of the failure beyond it.
    limit: Option<(u64, String)>,
}

/// The copying, in progress.
pub(crate) struct Copying {
    /// Closed when the job has no process left.
    stop: PipeWriter,
    end: Receiver<Option<Failure>>,
}

/// Open the order's files that are regular, with a pipe for each.
pub(crate) fn open(order: &Order) -> Result<(Outputs, Pipes), Failure> {
    let (mut outputs, mut pipes) = (Vec::new(), Pipes::default());
    if let Some((output, pipe)) = Output::open("output", "outputPath", &order.stdout, order)? {
        outputs.push(output);
        pipes.stdout = Some(pipe);
    }
    if order.join {
        return Ok((Outputs(outputs), pipes));
    }
    if let Some((output, pipe)) = Output::open("error output", "errorPath", &order.stderr, order)? {
        let failure = |error| Failure::new("error output", &error);
        let earlier = outputs.first().map(|first| first.is(&output)).transpose().map_err(failure)?;
        match &pipes.stdout {
            // One pipe per file, to keep the order of the writes.
            Some(stdout) if earlier == Some(true) => {
                pipes.stderr = Some(stdout.try_clone().map_err(failure)?);
            }
            _ => {
                outputs.push(output);
                pipes.stderr = Some(pipe);
            }
        }
    }
    Ok((Outputs(outputs), pipes))
}

impl Output {
    /// `None` for anything but a regular file: the child opens that, since the open may wait.
    fn open(
        what: &str,
        attribute: &str,
        mount: &[u8],
        order: &Order,
    ) -> Result<Option<(Self, PipeWriter)>, Failure> {
        let path = OsStr::from_bytes(mount);
        if !fs::metadata(path).is_ok_and(|found| found.is_file()) {
            return Ok(None);
        }
        let open = || {
            let file = OpenOptions::new().append(true).open(path)?;
            let (reader, writer) = io::pipe()?;
            // Only the job's own processes can find the pipe, and they may run as any user. gVisor refuses
            // that; a program that opens its output anew as another user than this one is refused then.
            // SAFETY: takes numbers alone.
            unsafe { libc::fchmod(writer.as_raw_fd(), 0o666) };
            let origin = order.origins.iter().find(|origin| origin.mount == mount);
            let name = origin.map(|origin| String::from_utf8_lossy(&origin.name).into_owned());
            let name = name.unwrap_or_else(|| attribute.to_owned());
            let (pipe, limit) = (Some(reader), rlimit::file_size(order));
            Ok((Self { name, pipe, file, limit }, writer))
        };
        let opened = open().map(Some);
        opened.map_err(|error| Failure::new(format_args!("{what} \"{}\"", path.display()), &error))
    }

    /// Returns whether this is also the file of another output.
    fn is(&self, other: &Self) -> io::Result<bool> {
        let (one, two) = (self.file.metadata()?, other.file.metadata()?);
        Ok((one.dev(), one.ino()) == (two.dev(), two.ino()))
    }

    /// Copy at most `most` bytes from the pipe; 0 at its end. After an error nothing more can be written
    /// into the pipe.
    fn copy(&mut self, room: &mut [u8], most: usize) -> io::Result<usize> {
        let Some(pipe) = &mut self.pipe else { return Ok(0) };
        let most = most.min(room.len());
        let copied = pipe.read(&mut room[..most]).and_then(|read| {
            self.write(&room[..read])?;
            Ok(read)
        });
        if !matches!(copied, Ok(1..)) {
            self.pipe = None;
        }
        copied
    }

    /// Write all of it, or as much as the file may hold.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some((limit, _)) = self.limit else { return self.file.write_all(bytes) };
        let left = limit.saturating_sub(self.file.metadata()?.len());
        let fitting = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        self.file.write_all(&bytes[..fitting])?;
        if fitting < bytes.len() { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(()) }
    }

    /// Returns whether this error means that the file has reached its limit.
    fn is_full(&self, error: &io::Error) -> bool {
        self.limit.is_some() && error.kind() == io::ErrorKind::FileTooLarge
    }

    fn failure(&self, error: &io::Error) -> Failure {
        match &self.limit {
            Some((_, text)) if self.is_full(error) => Failure::text(text.clone()),
            _ => Failure::new(&self.name, error),
        }
    }

    /// Copy the present content of the pipe. A process outside of the job may hold it too, and continue
    /// to write.
    fn empty(&mut self, room: &mut [u8]) -> io::Result<()> {
        let mut left = self.pending();
        while left > 0 {
            match self.copy(room, left)? {
                0 => break,
                read => left -= read,
            }
        }
        Ok(())
    }

    /// The number of bytes in the pipe.
    fn pending(&self) -> usize {
        let mut pending: libc::c_int = 0;
        let Some(pipe) = &self.pipe else { return 0 };
        // SAFETY: the descriptor is open, and the number is valid for writes.
        let answer = unsafe { libc::ioctl(pipe.as_raw_fd(), libc::FIONREAD, &mut pending) };
        if answer == 0 { usize::try_from(pending).unwrap_or(0) } else { 0 }
    }
}

impl Outputs {
    /// Begin to copy the output of the command and its descendants. `too_large` is called when a file
    /// has reached its size limit.
    ///
    /// Call it after the fork of the command: a process with two threads must not fork one that uses the
    /// heap.
    pub(crate) fn copy(mut self, too_large: impl Fn() + Send + 'static) -> io::Result<Option<Copying>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let (stopped, stop) = io::pipe()?;
        let (sender, end) = mpsc::channel();
        let work = move || {
            let failure = self.run(&stopped, too_large);
            // Without a receiver nobody waits for the result.
            let _ = sender.send(failure);
        };
        thread::Builder::new().stack_size(STACK).spawn(work)?;
        Ok(Some(Copying { stop, end }))
    }

    /// Copy until all pipes are at their end, or `stopped` is and they are empty. Returns the first
    /// failure.
    fn run(&mut self, stopped: &PipeReader, too_large: impl Fn()) -> Option<Failure> {
        let (mut room, mut failure) = (vec![0; CHUNK], None);
        while self.0.iter().any(|output| output.pipe.is_some()) {
            let mut looks = vec![look(stopped.as_raw_fd())];
            // The kernel skips a negative descriptor.
            let fd = |output: &Output| output.pipe.as_ref().map_or(-1, AsRawFd::as_raw_fd);
            looks.extend(self.0.iter().map(|output| look(fd(output))));
            // SAFETY: the entries are valid for reads and writes, as many as there are.
            unsafe { libc::poll(looks.as_mut_ptr(), looks.len() as libc::nfds_t, -1) };
            if looks[0].revents != 0 {
                break;
            }
            for (output, look) in self.0.iter_mut().zip(&looks[1..]) {
                if look.revents == 0 {
                    continue;
                }
                if let Err(error) = output.copy(&mut room, CHUNK) {
                    failure.get_or_insert(output.failure(&error));
                    if output.is_full(&error) {
                        too_large();
                    }
                }
            }
        }
        for output in &mut self.0 {
            if let Err(error) = output.empty(&mut room) {
                failure.get_or_insert(output.failure(&error));
            }
        }
        failure
    }
}

fn look(fd: RawFd) -> libc::pollfd {
    libc::pollfd { fd, events: libc::POLLIN, revents: 0 }
}

impl Copying {
    /// Copy the rest, now that the job has no process left. Returns the reason if a file is incomplete.
    pub(crate) fn finish(self) -> Option<Failure> {
        drop(self.stop);
        let overdue = || {
            let seconds = PATIENCE.as_secs();
            Failure::text(format!("the last output was not written within {seconds} s of the job's end"))
        };
        self.end.recv_timeout(PATIENCE).unwrap_or_else(|_| Some(overdue()))
    }
}
