//! Each call of a scene fails, one after the other: there is no call whose failure was not thought of.

use crate::check;
use crate::daemon::Daemon;
use crate::fault::Act::{Cut, Nothing, Refuse, Silence};
use crate::fault::{At, Fault, UNAVAILABLE, UNKNOWN};
use crate::matrix::Cell;
use crate::proxy::{Side, Trap};
use crate::scene::Scene;
use crate::stage::Starter;

const SCENES: [Scene; 6] =
    [Scene::Life, Scene::Bare, Scene::Pull, Scene::Suspend, Scene::Terminate, Scene::Rerun];
/// The order of calls is not always the same; a few more are tried than were counted.
const MORE: usize = 3;
/// Calls of a pull that may take half an hour, for so long they are waited for without an answer.
const LONG: [&str; 2] = ["Snapshots.Prepare", "Diff.Apply"];

/// All of them, as many as the calls that are counted in scenes without a fault.
pub fn all(daemon: &mut Daemon) -> Vec<Cell> {
    let mut cells = Vec::new();
    for scene in SCENES {
        let at = |nth, side| At::Call(Trap { method: None, nth, side });
        let cell = |at, act| Cell { scene, starter: Starter::Submitter, fault: Fault { at, act } };
        let verdict = check::play(daemon, &cell(At::Moment("never"), Nothing));
        assert_eq!(verdict.wrong, Vec::<String>::new(), "{scene} without a fault");
        println!("{scene}: {} calls: {}", verdict.calls.len(), verdict.calls.join(" "));
        for nth in 1..=verdict.calls.len() + MORE {
            let is_long = verdict.calls.get(nth - 1).is_some_and(|call| LONG.contains(&call.as_str()));
            for act in [Refuse(UNAVAILABLE), Refuse(UNKNOWN), Cut, Silence] {
                if act != Silence || scene != Scene::Pull || !is_long {
                    cells.push(cell(at(nth, Side::Before), act));
                }
            }
            cells.push(cell(at(nth, Side::After), Cut));
        }
    }
    cells
}
