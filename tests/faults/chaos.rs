//! Random faults at random calls. A number decides them all, so the same number plays the same faults again;
//! which call is the nth, and how fast a process is, the machine decides.

use fastrand::Rng;

use crate::check::{self, Verdict};
use crate::daemon::Daemon;
use crate::fault::{Act, At, Fault};
use crate::player::LIMIT;
use crate::proxy::{Side, Trap};
use crate::stage::{Stage, Starter};

/// The longest time into a call, milliseconds.
const WITHIN: u64 = 60;

fn fault(rng: &mut Rng) -> Fault {
    let side = if rng.bool() { Side::Before } else { Side::After };
    let trap = Trap { method: None, nth: rng.usize(1..=25), side };
    let at = if rng.bool() { At::Call(trap) } else { At::Within(trap, rng.u64(0..=WITHIN)) };
    let act = match rng.usize(0..10) {
        0..=2 => Act::KillCaller,
        3 | 4 => Act::KillDaemon,
        5 => Act::KillBoth,
        6 => Act::KillOneShim(rng.usize(..)),
        7 => Act::KillOneInit(rng.usize(..)),
        8 => Act::StopCaller,
        _ => Act::Cut,
    };
    Fault { at, act }
}

/// One round.
pub fn play(daemon: &mut Daemon, seed: u64) -> Verdict {
    let mut rng = Rng::with_seed(seed);
    let starter = if rng.bool() { Starter::Submitter } else { Starter::Agent };
    let faults: Vec<_> = (0..rng.usize(2..=6)).map(|_| fault(&mut rng)).collect();
    check::play_with(daemon, starter, &faults, |stage| jobs(stage, &mut rng))
}

/// Submit a few jobs, and wait for them.
fn jobs(stage: &Stage, rng: &mut Rng) {
    let slots = rng.usize(1..=4);
    stage.expect(&["create", &format!("containerd://?slots={slots}")]);
    stage.open_gate();
    stage.arm();
    let mut ids = Vec::new();
    for number in 0..rng.usize(3..=8) {
        let mut template =
            stage.script(&format!("{number}"), &format!("usleep {}", rng.u32(0..200_000)));
        template.rerunnable = rng.u8(0..3) == 0;
        if rng.u8(0..10) == 0 {
            template.extensions.insert("containerd_jt_init".to_owned(), "off".into());
        }
        let text = serde_json::to_string(&template).unwrap();
        ids.extend(stage.run(&["run", &text]));
    }
    for id in ids {
        if stage.ask(&["ended", &id]).is_err_and(|error| error == "hangs") {
            stage.note(format!("the wait for job {id} did not return in {LIMIT:?}"));
        }
    }
}
