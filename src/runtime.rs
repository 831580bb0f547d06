//! The tokio runtime and the threads of the library.

use std::future::Future;
use std::io;
use std::mem::ManuallyDrop;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use crate::model::{Error, ErrorCode, Result};
use crate::sync::Mutex;

/// Worker threads of the runtime: enough to overlap RPCs, few enough for a guest in a process.
const WORKERS: usize = 2;

/// Threads for work that may block, which is work on files and credentials.
const BLOCKING: usize = 6;
/// A thread of those stays for ever. If the system allows no other when there is work, tokio leaves the work to those
/// that are there; without any, it would never be done.
const KEPT: Duration = Duration::from_secs(u32::MAX as u64);

/// The tokio runtime, on threads of its own. What runs in the background goes on when this is dropped: a process
/// that exits takes it along, and a forked child must not touch it.
pub struct Runtime(ManuallyDrop<tokio::runtime::Runtime>);

impl Runtime {
    /// Start the worker threads.
    pub fn start() -> Result<Self> {
        let build = || {
            block_signals();
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(WORKERS)
                .max_blocking_threads(BLOCKING)
                .thread_keep_alive(KEPT)
                .thread_name("drmaa2-io")
                .on_thread_start(block_signals)
                .enable_io()
                .enable_time()
                .build()?;
            runtime.spawn_blocking(|| ());
            Ok(runtime)
        };
        let failed = |error: io::Error| {
            Error::new(ErrorCode::of_io(&error), format!("cannot start the runtime: {error}"))
        };
        check_threads(WORKERS + 2).map_err(failed)?;
        // In a thread of its own: the caller may be an exit handler, which has no thread-locals any
        // more, and tokio needs them only here.
        let builder = std::thread::Builder::new().spawn(build).map_err(failed)?;
        let runtime = builder.join().map_err(|_| Error::internal("the runtime cannot be started"))?;
        Ok(Self(ManuallyDrop::new(runtime.map_err(failed)?)))
    }

    /// End its threads, and what runs in the background.
    pub fn end(self) {
        ManuallyDrop::into_inner(self.0).shutdown_background();
    }

    /// Run a future in the background.
    pub fn spawn<F>(&self, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.0.spawn(future);
    }

    /// Run a future to its end and return its result. Works on every thread, also on one that runs
    /// another tokio runtime.
    pub fn run<F, T>(&self, future: F) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send + 'static,
        T: Send + 'static,
    {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.0.spawn(async move {
            // The receiver waits below; it cannot be gone.
            let _ = sender.send(future.await);
        });
        receiver.recv().map_err(|_| Error::internal("a background task of the runtime died"))?
    }
}

/// Check that the system allows so many more threads: tokio panics, which writes to the host's standard error, if
/// it gets none.
fn check_threads(count: usize) -> io::Result<()> {
    let (end, ended) = mpsc::channel::<()>();
    let ended = Arc::new(Mutex::new(ended));
    let mut result = Ok(());
    let mut threads = Vec::new();
    for _ in 0..count {
        let ended = Arc::clone(&ended);
        let body = move || {
            block_signals();
            let _ = ended.lock().recv();
        };
        match std::thread::Builder::new().spawn(body) {
            Ok(thread) => threads.push(thread),
            Err(error) => {
                result = Err(error);
                break;
            }
        }
    }
    drop(end);
    for thread in threads {
        let _ = thread.join();
    }
    result
}

/// Work on files, on a thread of the tokio runtime that it may block.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(Error::internal("work on files died")))
}

/// The work of a thread.
type Body = Box<dyn FnOnce() + Send>;

/// Start several threads like [`thread`], or none of them.
pub fn threads<const N: usize>(bodies: [(&str, Body); N]) -> Result<()> {
    let mut starts = Vec::new();
    for (name, body) in bodies {
        let (start, started) = mpsc::channel();
        thread(name, move || {
            if started.recv().is_ok() {
                body();
            }
        })?;
        starts.push(start);
    }
    for start in starts {
        // The thread waits for it.
        let _ = start.send(());
    }
    Ok(())
}

/// Start a thread that leaves the host's signals to the host's threads.
pub fn thread(name: &str, body: impl FnOnce() + Send + 'static) -> Result<()> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            block_signals();
            body();
        })
        .map(drop)
        .map_err(|error| no_thread(name, &error))
}

/// Run the same work on the calling thread and on others beside it, `threads` in all if the system
/// allows. Returns when all have finished.
pub fn in_parallel(threads: usize, work: &(impl Fn() + Sync)) {
    std::thread::scope(|scope| {
        for _ in 1..threads {
            let spawned = std::thread::Builder::new().spawn_scoped(scope, || {
                block_signals();
                work();
            });
            if spawned.is_err() {
                break;
            }
        }
        work();
    });
}

/// Run `work` on a thread of its own, which ends with it.
pub fn apart<T: Send>(name: &str, work: impl FnOnce() -> T + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let spawned = std::thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, || {
            block_signals();
            work()
        });
        let thread = spawned.map_err(|error| no_thread(name, &error))?;
        thread.join().map_err(|_| Error::internal(format!("thread {name} died")))
    })
}

fn no_thread(name: &str, error: &std::io::Error) -> Error {
    Error::new(ErrorCode::of_io(error), format!("thread {name}: {error}"))
}

/// Signals of the process are for the host's threads, not for the library's.
fn block_signals() {
    let all = nix::sys::signal::SigSet::all();
    if let Err(error) = all.thread_block() {
        tracing::warn!(%error, "cannot block signals in a library thread");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_a_future_from_inside_another_runtime() {
        let ours = Runtime::start().unwrap();
        let outer = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let answer = outer.block_on(async { ours.run(async { Ok(42) }) });
        assert_eq!(answer.unwrap(), 42);
    }

    #[test]
    fn a_panic_in_a_task_is_an_error_and_not_a_hang() {
        let runtime = Runtime::start().unwrap();
        let result: Result<()> = runtime.run(async { panic!("expected by the test") });
        assert!(result.is_err());
    }
}
