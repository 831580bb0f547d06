//! The tokio runtime and the threads of the library.

use std::future::Future;
use std::io;
use std::mem::ManuallyDrop;
use std::sync::mpsc;

use crate::model::{Error, Result};

/// Worker threads for the runtime: enough to overlap RPCs, few enough to be a good guest.
const WORKERS: usize = 2;

/// The tokio runtime, on threads of its own. It is never shut down: a process that exits takes it
/// along, and a forked child must not touch it.
pub struct Runtime(ManuallyDrop<tokio::runtime::Runtime>);

impl Runtime {
    /// Start the worker threads.
    pub fn start() -> Result<Self> {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .thread_name("drmaa2-io")
            .on_thread_start(block_signals)
            .enable_io()
            .enable_time()
            .build()
            .map(|runtime| Self(ManuallyDrop::new(runtime)))
            .map_err(|error| Error::internal(format!("cannot start the runtime: {error}")))
    }

    /// Run a future in the background.
    pub fn spawn<F>(&self, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.0.spawn(future);
    }

    /// Run a future to its end and give its result. Works on every thread, also on one that runs
    /// another tokio runtime.
    pub fn run<F, T>(&self, future: F) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send + 'static,
        T: Send + 'static,
    {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.0.spawn(async move {
            // The receiver is waiting below; it cannot be gone.
            let _ = sender.send(future.await);
        });
        receiver.recv().map_err(|_| Error::internal("a background task of the runtime died"))?
    }
}

/// Start a thread that leaves the host's signals to the host's threads.
pub fn thread(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            block_signals();
            body();
        })
        .map(drop)
}

/// Signals of the process are for the host's threads, not for ours.
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
