//! The fault itself: it waits for its point and does what it is there for.

use std::time::Duration;

use nix::sys::signal::Signal::{SIGCONT, SIGSTOP};

use crate::clocks;
use crate::disks::Disk;
use crate::fault::{Act, At, Fault};
use crate::processes;
use crate::proxy::{Fate, Side};
use crate::scene;
use crate::stage::{Signal, Stage};

/// The time for which a process is stopped, or a job held.
const PAUSE: Duration = Duration::from_secs(1);
const SHORT: Duration = Duration::from_secs(10);

/// Wait for calls and commands that are stopped, until the play is over.
pub fn watch(stage: &Stage) {
    let signals = stage.signals.lock().unwrap();
    loop {
        let signal = signals.recv().unwrap();
        let fault = match (&signal, stage.fault()) {
            (Signal::Over, _) | (_, None) => return,
            (_, Some(fault)) => fault,
        };
        match signal {
            Signal::Call(hit) => match (&fault.at, fault.act) {
                (At::Within(_, after), act) => {
                    let _ = hit.fate.send(Fate::Pass);
                    // The time is part of the fault.
                    std::thread::sleep(Duration::from_millis(*after));
                    strike(stage, act, Some(hit.pid), None);
                }
                (_, Act::KillCallerLate) => {
                    strike(stage, fault.act, Some(hit.pid), None);
                    stage.late.lock().unwrap().push(hit.fate);
                }
                (_, act) => {
                    strike(stage, act, Some(hit.pid), None);
                    let _ = hit.fate.send(fate(act));
                }
            },
            Signal::Runtime(pid) => {
                strike(stage, fault.act, stage.starter_pid(), Some(pid));
                stage.wrapper.go();
            }
            Signal::Over => return,
        }
        restore(stage, &fault);
        stage.next();
    }
}

/// The treatment of the call that a fault was waiting for.
fn fate(act: Act) -> Fate {
    match act {
        Act::KillCaller | Act::KillDaemon | Act::KillDaemonLong | Act::KillBoth | Act::Cut => Fate::Cut,
        Act::Refuse(code) => Fate::Refuse(code),
        Act::Silence => Fate::Silence,
        _ => Fate::Pass,
    }
}

pub fn at_moment(stage: &Stage) {
    let fault = stage.fault().unwrap();
    strike(stage, fault.act, stage.starter_pid(), None);
    restore(stage, &fault);
    stage.next();
}

/// Strike at the victim.
fn strike(stage: &Stage, act: Act, caller: Option<i32>, runtime: Option<i32>) {
    stage.strikes();
    let kill_caller = || {
        caller.into_iter().for_each(processes::end);
        // It had left the work to the agent.
        stage.proxy.bar(stage.player().pid, false);
    };
    match act {
        Act::Nothing | Act::Cut | Act::Refuse(_) | Act::Silence => {}
        Act::KillCaller | Act::KillCallerLate => kill_caller(),
        Act::KillDaemon | Act::KillDaemonLong => stage.daemon.kill(),
        Act::KillBoth => {
            kill_caller();
            stage.daemon.kill();
        }
        Act::KillShim => stage.daemon.shims().into_iter().for_each(|pid| kill_shim(stage, pid)),
        Act::KillInit => stage.inits().into_iter().for_each(|pid| kill_init(stage, pid)),
        Act::KillOneShim(place) => {
            one(&stage.daemon.shims(), place).into_iter().for_each(|pid| kill_shim(stage, pid));
        }
        Act::KillOneInit(place) => {
            one(&stage.inits(), place).into_iter().for_each(|pid| kill_init(stage, pid));
        }
        Act::KillRuntime => {
            if let Some(pid) = runtime {
                // Its last argument is the container.
                stage.hit(processes::words(pid).pop().unwrap_or_default());
                processes::end(pid);
            }
        }
        Act::StopCaller => {
            if let Some(pid) = caller {
                processes::signal(pid, SIGSTOP);
                stage.stopped.lock().unwrap().push(pid);
            }
        }
        Act::FillDisk => stage.disk.iter().for_each(Disk::fill),
        Act::SetClock(off) => clocks::set(&stage.path(""), off),
        Act::Terminate => scene::interfere(stage, "terminate"),
        Act::Hold => scene::interfere(stage, "hold"),
    }
}

fn one(pids: &[i32], place: usize) -> Option<i32> {
    pids.get(place.checked_rem(pids.len())?).copied()
}

/// Kill a shim, and with it its container.
pub fn kill_shim(stage: &Stage, pid: i32) {
    let words = processes::words(pid);
    let id = words.iter().position(|word| word == "-id").and_then(|place| words.get(place + 1));
    stage.hit(id.cloned().unwrap_or_default());
    processes::end(pid);
}

fn kill_init(stage: &Stage, pid: i32) {
    stage.hit(processes::group(pid));
    processes::end(pid);
}

/// Bring back everything that would come back by itself.
fn restore(stage: &Stage, fault: &Fault) {
    match fault.act {
        Act::KillDaemon | Act::KillBoth => stage.daemon.start(),
        Act::KillDaemonLong => {
            stage.open_gate();
            let begun = match &fault.at {
                At::Call(trap) => {
                    trap.side == Side::After && trap.method.as_deref() == Some("Tasks.Start")
                }
                // A shim whose containerd dies ends the runtime that is at work.
                At::Runtime(command, side) => *command == "start" && *side == Side::After,
                At::Moment(_) => true,
                At::Within(..) => false,
            };
            if begun {
                // If it goes on, which it need not when its start was withdrawn meanwhile.
                stage.has_noted(2, SHORT);
            }
            for pid in stage.in_jobs() {
                processes::gone(pid, SHORT);
            }
            stage.daemon.start();
        }
        Act::StopCaller => {
            // The time is the fault.
            std::thread::sleep(PAUSE);
            for pid in stage.stopped.lock().unwrap().drain(..) {
                processes::signal(pid, SIGCONT);
            }
        }
        Act::Hold => {
            // It is held for so long, and does not run.
            std::thread::sleep(PAUSE);
            scene::release(stage);
        }
        _ => {}
    }
}
