//! The fake as a system that shows all that it has.

use super::FakeTracker;
use crate::model::{Cpu, JobInfo, Machine, Os, Queue, Result};
use crate::tracker::Monitoring;

impl Monitoring for FakeTracker {
    fn all_jobs(&self) -> Result<Vec<JobInfo>> {
        let state = self.up()?;
        Ok(state.jobs.values().chain(&state.removed).cloned().collect())
    }

    fn all_queues(&self) -> Result<Vec<Queue>> {
        self.up().map(|_| vec![Queue { name: "fake-queue".into() }])
    }

    fn all_machines(&self) -> Result<Vec<Machine>> {
        let machine = Machine {
            name: "fake-host".into(),
            available: true,
            sockets: 1,
            cores_per_socket: 2,
            threads_per_core: 1,
            load: None,
            phys_memory: 1024,
            virt_memory: 2048,
            os: Os::Linux,
            os_version: None,
            arch: Cpu::X64,
        };
        self.up().map(|_| vec![machine])
    }
}
