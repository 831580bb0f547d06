//! The faults that are played on a cluster.

use fastrand::Rng;

use crate::cluster::{Cluster, is_of_job, processes, told};
use crate::job::Job;
use crate::round::Round;

/// Something that dies, or is done to the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// The controller dies as soon as it has accepted the jobs.
    ControllerAtOnce,
    /// The controller dies at some time.
    Controller,
    /// The daemon of a node dies.
    NodeDaemon,
    /// Slurm's parent process of a job dies.
    Step,
    /// The daemon that vouches for users dies.
    Munge,
    /// The process that submits the jobs and follows them dies while it does so.
    Submitter,
    /// The library's program on a node dies.
    NodeProgram,
    /// The init of a job dies.
    Init,
    /// The administrator takes a node down, and gives it back.
    NodeDown,
    /// The administrator lets a job start anew.
    Requeue,
    /// The controller forgets a job and gives its number to another one.
    ReusedNumber,
    /// The daemon of a node and the parent process of a job there die.
    NodeDaemonAndStep,
    /// Everything of a job on its node dies at once, as in a crash of the node, and the node's daemon too.
    Node,
}

impl Fault {
    const ALL: [Self; 13] = [
        Self::ControllerAtOnce,
        Self::Controller,
        Self::NodeDaemon,
        Self::Step,
        Self::Munge,
        Self::Submitter,
        Self::NodeProgram,
        Self::Init,
        Self::NodeDown,
        Self::Requeue,
        Self::ReusedNumber,
        Self::NodeDaemonAndStep,
        Self::Node,
    ];

    /// Those with this in their name, if `DRMAA2_TEST_ONLY` is set.
    pub(crate) fn wanted() -> Vec<Self> {
        let only = std::env::var("DRMAA2_TEST_ONLY").unwrap_or_default();
        Self::ALL.into_iter().filter(|fault| format!("{fault:?}").contains(&only)).collect()
    }

    /// Let it happen. `job` is the one that it hits if it hits one.
    pub(crate) fn strike(self, round: &mut Round<'_>, job: usize, rng: &mut Rng) {
        let node = round.node(job).unwrap_or_else(|| format!("n{}", rng.u8(1..=3)));
        let cluster = round.cluster;
        match self {
            Self::ControllerAtOnce | Self::Controller => cluster.run(&["kill", "slurmctld"]),
            Self::NodeDaemon => cluster.run(&["kill", &node]),
            Self::Munge => cluster.run(&["kill", "munged"]),
            Self::Submitter => round.replace_player(),
            Self::NodeDown => {
                let name = format!("NodeName={node}");
                round.expect(cluster.slurm("scontrol", &["update", &name, "State=DOWN", "Reason=test"]));
                std::thread::sleep(std::time::Duration::from_millis(rng.u64(0..500)));
                round.expect(cluster.slurm("scontrol", &["update", &name, "State=RESUME"]));
            }
            Self::Requeue => round.requeue(job),
            Self::ReusedNumber => round.reuse_number(job, rng.bool()),
            Self::Step => round.kill(job, |job, pid| is_step(cluster, job, pid)),
            Self::NodeProgram => round.kill(job, is_node_program),
            Self::Init => round.kill(job, is_init),
            Self::NodeDaemonAndStep => {
                round.kill(job, |job, pid| is_step(cluster, job, pid));
                cluster.run(&["kill", &node]);
            }
            Self::Node => {
                cluster.run(&["kill", &node]);
                let all = |job: &Job, pid| {
                    is_step(cluster, job, pid) || job.id.as_ref().is_some_and(|id| is_of_job(pid, id))
                };
                round.kill(job, all);
            }
        }
    }

    /// Returns whether it is aimed at one of the jobs.
    pub(crate) fn is_aimed(self) -> bool {
        self.may_hit_one()
            || matches!(self, Self::Step | Self::ReusedNumber | Self::NodeDaemon | Self::NodeDown)
    }

    /// Returns whether it may interrupt a job that it is not aimed at.
    pub(crate) fn may_hit_all(self) -> bool {
        // A controller that dies before it has written down that a job has started has it killed.
        self.ends_controller() || self == Self::NodeDown
    }

    /// Returns whether the controller dies of it.
    pub(crate) fn ends_controller(self) -> bool {
        matches!(self, Self::ControllerAtOnce | Self::Controller | Self::ReusedNumber)
    }

    /// Returns whether it may interrupt the job that it is aimed at.
    pub(crate) fn may_hit_one(self) -> bool {
        matches!(
            self,
            Self::NodeProgram | Self::Init | Self::Node | Self::NodeDaemonAndStep | Self::Requeue
        )
    }

    /// Returns whether a job that it hits may end by that, although it is rerunnable: Slurm takes it for the job's own
    /// end.
    pub(crate) fn ends(self) -> bool {
        matches!(self, Self::NodeProgram | Self::Init)
    }
}

fn is_step(cluster: &Cluster, job: &Job, pid: i32) -> bool {
    let is_of = |number: &String| {
        told(pid, "cmdline").starts_with(&format!("slurmstepd: [{number}.batch]"))
            && cluster.works_in(pid)
    };
    job.number.as_ref().is_some_and(is_of)
}

fn is_node_program(job: &Job, pid: i32) -> bool {
    let words = told(pid, "cmdline");
    words.contains("drmaa2-node ") && job.id.as_ref().is_some_and(|id| words.contains(id))
}

fn is_init(job: &Job, pid: i32) -> bool {
    let words = told(pid, "cmdline");
    let of_job = |id: &String| words.contains(id) || told(pid, "mountinfo").contains(id);
    (words.contains("drmaa2-init ") || words.starts_with("/.drmaa2/init"))
        && job.id.as_ref().is_some_and(of_job)
}

/// Kill these, all at once as far as that is possible.
pub(crate) fn kill(is: impl Fn(i32) -> bool) -> usize {
    let pids = processes(is);
    for pid in &pids {
        // SAFETY: takes plain numbers.
        unsafe { libc::kill(*pid, libc::SIGKILL) };
    }
    pids.len()
}
