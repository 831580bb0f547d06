//! The fault itself: it waits for its point and does what it is there for.

use std::sync::atomic::Ordering;
use std::time::Duration;

use nix::sys::signal::Signal::{SIGCONT, SIGSTOP};

use crate::fault::{Act, At};
use crate::processes;
use crate::proxy::{Fate, Side};
use crate::stage::{Signal, Stage};

/// How long a process is stopped.
const PAUSE: Duration = Duration::from_secs(1);
const SHORT: Duration = Duration::from_secs(10);

/// Wait for calls and commands that are stopped, until the play is over.
pub fn watch(stage: &Stage) {
    let signals = stage.signals.lock().unwrap();
    loop {
        match signals.recv() {
            Ok(Signal::Call(hit)) => {
                let (fate, late) = match stage.fault.act {
                    Act::KillCallerLate => (None, true),
                    Act::KillCaller
                    | Act::KillDaemon
                    | Act::KillDaemonLong
                    | Act::KillBoth
                    | Act::Cut => (Some(Fate::Cut), false),
                    Act::Refuse(code) => (Some(Fate::Refuse(code)), false),
                    Act::Silence => (Some(Fate::Silence), false),
                    _ => (Some(Fate::Pass), false),
                };
                act(stage, Some(hit.pid), None);
                match fate {
                    Some(fate) => drop(hit.fate.send(fate)),
                    None if late => stage.late.lock().unwrap().push(hit.fate),
                    None => {}
                }
                restore(stage);
            }
            Ok(Signal::Runtime(pid)) => {
                act(stage, stage.starter_pid(), Some(pid));
                stage.wrapper.go();
                restore(stage);
            }
            Ok(Signal::Over) | Err(_) => return,
        }
    }
}

pub fn at_moment(stage: &Stage) {
    act(stage, stage.starter_pid(), None);
    restore(stage);
}

/// Strike at the victim.
fn act(stage: &Stage, caller: Option<i32>, runtime: Option<i32>) {
    let kill_caller = || {
        caller.into_iter().for_each(processes::end);
        // It had left the work to the agent.
        stage.proxy.bar(stage.player().pid, false);
    };
    match stage.fault.act {
        Act::Nothing | Act::Cut | Act::Refuse(_) | Act::Silence => {}
        Act::KillCaller | Act::KillCallerLate => kill_caller(),
        Act::KillDaemon | Act::KillDaemonLong => stage.daemon.kill(),
        Act::KillBoth => {
            kill_caller();
            stage.daemon.kill();
        }
        Act::KillShim => stage.daemon.shims().into_iter().for_each(processes::end),
        Act::KillInit => {
            stage.in_jobs().into_iter().filter(|pid| processes::is_init(*pid)).for_each(processes::end);
        }
        Act::KillRuntime => runtime.into_iter().for_each(processes::end),
        Act::StopCaller => {
            if let Some(pid) = caller {
                processes::signal(pid, SIGSTOP);
                stage.stopped.lock().unwrap().push(pid);
            }
        }
        Act::Terminate | Act::Hold => {
            let control = if stage.fault.act == Act::Hold { "hold" } else { "terminate" };
            crate::scene::interfere(stage, control);
        }
    }
    stage.struck.store(true, Ordering::Release);
}

/// What comes back by itself does so.
fn restore(stage: &Stage) {
    match stage.fault.act {
        Act::KillDaemon | Act::KillBoth => stage.daemon.start(),
        Act::KillDaemonLong => {
            stage.open_gate();
            let begun = match &stage.fault.at {
                At::Call(trap) => {
                    trap.side == Side::After && trap.method.as_deref() == Some("Tasks.Start")
                }
                At::Runtime(command, _) => *command == "start",
                At::Moment(_) => true,
            };
            if begun && !stage.has_noted(2, SHORT) {
                stage.note("the job did not go on without containerd".to_owned());
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
        _ => {}
    }
}
