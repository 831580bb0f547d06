//! Monitoring sessions: the whole system, read-only.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::call::{Call, Content};
use super::process;
use super::refs::{JobRef, ReservationRef};
use crate::model::{Error, JobFilter, Machine, Queue, Result};

/// An open monitoring session.
pub struct MonitoringSession {
    closed: AtomicBool,
}

impl MonitoringSession {
    /// Open one.
    pub fn open() -> Result<Arc<Self>> {
        process::door()?;
        process::monitor_opened();
        Ok(Arc::new(Self { closed: AtomicBool::new(false) }))
    }

    /// Close it.
    pub fn close(&self) -> Result<()> {
        if self.closed.swap(true, Ordering::AcqRel) {
            return Err(is_closed());
        }
        process::monitor_closed();
        Ok(())
    }

    /// INVALID_SESSION if it is closed.
    pub fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) { Err(is_closed()) } else { Ok(()) }
    }

    /// All matching jobs that the user may see, of every session and of none.
    pub fn jobs(&self, filter: Option<&JobFilter>) -> Result<Vec<JobRef>> {
        self.ask(Call::AllJobs(filter.cloned().map(Box::new)))
    }

    /// All reservations that the user may see and that are not over.
    pub fn reservations(&self) -> Result<Vec<ReservationRef>> {
        self.ask(Call::AllReservations)
    }

    /// All machines, or those named.
    pub fn machines(&self, names: Option<&[String]>) -> Result<Vec<Machine>> {
        Ok(named(self.ask(Call::Machines)?, names, |machine: &Machine| &machine.name))
    }

    /// All queues, or those named.
    pub fn queues(&self, names: Option<&[String]>) -> Result<Vec<Queue>> {
        Ok(named(self.ask(Call::Queues)?, names, |queue: &Queue| &queue.name))
    }

    fn ask<T: Content>(&self, call: Call) -> Result<T> {
        self.check_open()?;
        process::ask(call)
    }
}

impl Drop for MonitoringSession {
    fn drop(&mut self) {
        if !self.closed.swap(true, Ordering::AcqRel) {
            process::monitor_closed();
        }
    }
}

/// Those of `items` that have one of these names; all, if none is asked for.
fn named<T>(mut items: Vec<T>, names: Option<&[String]>, name: fn(&T) -> &String) -> Vec<T> {
    if let Some(names) = names {
        items.retain(|item| names.contains(name(item)));
    }
    items
}

fn is_closed() -> Error {
    Error::session("the monitoring session is closed")
}
