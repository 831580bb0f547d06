//! The kill matrix: which fault is tried at which point of which scene.

use std::fmt;

use crate::fault::Act::{self, *};
use crate::fault::{At, Fault, NOT_FOUND, UNAVAILABLE, UNKNOWN};
use crate::proxy::Side::{self, After, Before};
use crate::proxy::Trap;
use crate::scene::Scene;
use crate::stage::Starter;

/// A fault in its scene.
#[derive(Debug, Clone)]
pub struct Cell {
    pub scene: Scene,
    pub starter: Starter,
    pub fault: Fault,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by {}, {}", self.scene, self.starter, self.fault)
    }
}

const MAKING: [&str; 3] = ["Containers.Create", "Snapshots.Prepare", "Tasks.Create"];
const STARTING: [&str; 1] = ["Tasks.Start"];
const PULLING: [&str; 9] = [
    "Leases.Create",
    "Snapshots.Prepare",
    "Snapshots.Usage",
    "Content.Write",
    "Diff.Apply",
    "Snapshots.Remove",
    "Snapshots.Commit",
    "Images.Create",
    "Leases.Delete",
];
const REMOVING: [&str; 3] = ["Tasks.Delete", "Containers.Delete", "Snapshots.Remove"];
const SIDES: [Side; 2] = [Before, After];
const DEATHS: [Act; 3] = [KillCaller, KillDaemon, KillBoth];
const ANSWERS: [Act; 2] = [Refuse(UNKNOWN), Refuse(UNAVAILABLE)];

#[derive(Default)]
struct Cells(Vec<Cell>);

impl Cells {
    fn add(&mut self, scene: Scene, starter: Starter, at: &At, acts: &[Act]) {
        let cell = |act: &Act| Cell { scene, starter, fault: Fault { at: at.clone(), act: *act } };
        self.0.extend(acts.iter().map(cell));
    }

    fn calls(&mut self, scene: Scene, starter: Starter, methods: &[&[&str]], nth: usize, acts: &[Act]) {
        for method in methods.concat() {
            for side in SIDES {
                let trap = Trap { method: Some(method.to_owned()), nth, side };
                self.add(scene, starter, &At::Call(trap), acts);
            }
        }
    }

    fn runtime(&mut self, scene: Scene, commands: &[&'static str], acts: &[Act]) {
        for command in commands {
            for side in SIDES {
                self.add(scene, Starter::Submitter, &At::Runtime(command, side), acts);
            }
        }
    }

    fn moments(&mut self, scene: Scene, starter: Starter, names: &[&'static str], acts: &[Act]) {
        for name in names {
            self.add(scene, starter, &At::Moment(name), acts);
        }
    }
}

/// All of them.
pub fn all() -> Vec<Cell> {
    use Starter::{Agent, Submitter};
    let mut cells = Cells::default();
    let launch = [&MAKING[..], &STARTING].concat();

    cells.moments(Scene::Life, Submitter, &["submitted"], &DEATHS);
    let acts = [KillCaller, KillCallerLate, StopCaller, KillDaemon, KillBoth, Cut, Refuse(UNAVAILABLE)];
    cells.calls(Scene::Life, Submitter, &[&launch, &REMOVING], 1, &acts);
    cells.calls(Scene::Life, Submitter, &[&STARTING], 1, &[KillDaemonLong]);
    cells.calls(Scene::Life, Submitter, &[&launch], 1, &[Terminate, Hold]);
    // containerd 2 removes tasks that were made and not started when it starts again.
    let lost = At::Call(Trap { method: Some("Tasks.Start".to_owned()), nth: 1, side: Side::Before });
    for scene in [Scene::Life, Scene::Bare] {
        cells.add(scene, Submitter, &lost, &[Refuse(NOT_FOUND)]);
    }
    cells.runtime(
        Scene::Life,
        &["create", "start"],
        &[KillCaller, KillDaemon, KillBoth, KillRuntime, KillShim],
    );
    cells.runtime(Scene::Life, &["start"], &[KillDaemonLong]);
    cells.runtime(Scene::Life, &["delete"], &[KillCaller, KillDaemon, KillBoth, KillRuntime, KillShim]);
    cells.moments(Scene::Life, Agent, &["submitted"], &DEATHS);
    cells.calls(Scene::Life, Agent, &[&launch, &REMOVING], 1, &[KillCaller, KillCallerLate, KillBoth]);

    cells.calls(Scene::Bare, Submitter, &[&launch, &REMOVING], 1, &DEATHS);
    cells.calls(Scene::Bare, Submitter, &[&["Tasks.Get"]], 1, &ANSWERS);

    cells.calls(Scene::Pull, Submitter, &[&PULLING], 1, &DEATHS);
    cells.calls(Scene::Pull, Submitter, &[&["Content.Write"]], 3, &DEATHS);
    let unheard = At::Call(Trap { method: Some("Content.Write".to_owned()), nth: 1, side: Before });
    cells.add(Scene::Pull, Submitter, &unheard, &[Silence]);
    cells.calls(
        Scene::Pull,
        Agent,
        &[&["Content.Write", "Diff.Apply", "Snapshots.Remove"]],
        1,
        &[KillCaller, KillBoth],
    );

    let victims = [KillCaller, StopCaller, KillDaemon, KillDaemonLong, KillBoth, KillShim, KillInit];
    cells.moments(Scene::Running, Submitter, &["running"], &victims);
    cells.moments(Scene::Running, Agent, &["running"], &victims);
    cells.moments(
        Scene::Running,
        Submitter,
        &["ended unheard"],
        &[KillCaller, KillDaemon, KillBoth, KillShim],
    );
    cells.moments(
        Scene::Running,
        Agent,
        &["ended unheard"],
        &[KillCaller, KillDaemon, KillBoth, KillShim],
    );

    let acts = [KillCaller, KillCallerLate, KillDaemon, KillBoth];
    cells.calls(Scene::Ahead, Submitter, &[&launch], 1, &acts);
    cells.moments(
        Scene::Ahead,
        Submitter,
        &["ready"],
        &[KillCaller, KillDaemon, KillBoth, KillShim, KillInit],
    );

    cells.moments(Scene::Array, Submitter, &["submitted"], &DEATHS);
    cells.calls(
        Scene::Array,
        Submitter,
        &[&["Tasks.Create", "Tasks.Start", "Tasks.Delete"]],
        2,
        &DEATHS,
    );

    let acts = [KillCaller, KillDaemon, KillBoth, Cut];
    cells.calls(Scene::Suspend, Submitter, &[&["Tasks.Pause", "Tasks.Resume"]], 1, &acts);
    cells.moments(
        Scene::Suspend,
        Submitter,
        &["suspended"],
        &[KillCaller, KillDaemon, KillBoth, KillShim, KillInit],
    );
    cells.runtime(Scene::Suspend, &["pause", "resume"], &DEATHS);

    cells.calls(Scene::Terminate, Submitter, &[&["Tasks.Kill"]], 1, &acts);
    cells.moments(
        Scene::Terminate,
        Submitter,
        &["asked to end"],
        &[KillCaller, KillDaemon, KillBoth, KillShim, KillInit],
    );
    cells.runtime(Scene::Terminate, &["kill"], &DEATHS);

    cells.moments(Scene::Rerun, Submitter, &["lost"], &DEATHS);
    cells.calls(Scene::Rerun, Submitter, &[&launch, &REMOVING], 1, &DEATHS);
    cells.calls(Scene::Rerun, Submitter, &[&["Tasks.Get"]], 2, &ANSWERS);
    cells.0
}

/// A part of them: every so many, and some that have gone wrong at one time.
pub fn some(step: usize) -> Vec<Cell> {
    let was_wrong = |cell: &Cell| match (cell.scene, &cell.fault.at) {
        (Scene::Bare | Scene::Rerun, At::Call(_)) => ANSWERS.contains(&cell.fault.act),
        (Scene::Suspend, At::Runtime("pause", After)) => cell.fault.act == KillDaemon,
        (Scene::Life, At::Runtime("delete", After)) => cell.fault.act == KillDaemon,
        _ => false,
    };
    let cells = all().into_iter().enumerate();
    let chosen = cells.filter(|(at, cell)| at.is_multiple_of(step) || was_wrong(cell));
    chosen.map(|(_, cell)| cell).collect()
}
