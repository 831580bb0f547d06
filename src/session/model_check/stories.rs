//! The stories of the model check: random ones, and those in which something went wrong once.

use proptest::prelude::*;

use super::{Machine, PROCESSES};

/// The next action.
#[derive(Debug, Clone, Copy)]
pub(super) enum Act {
    Submit,
    Admit,
    /// A process looks up its work,
    Look,
    /// and does one of it, perhaps much later.
    Work,
    Serve,
    Hear,
    Exit,
    Lose,
    /// A process wants to hold a job, and then has its start withdrawn.
    Hold,
    Withdraw,
    /// The command of a started job begins.
    Begin,
    Release,
    Terminate,
    /// The runtime stops answering questions, or answers again.
    Mute,
    Settle,
    Die,
}

#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) act: Act,
    pub(super) process: usize,
    pub(super) choice: usize,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let act = prop_oneof![
        1 => Just(Act::Submit),
        3 => Just(Act::Admit),
        3 => Just(Act::Look),
        8 => Just(Act::Work),
        6 => Just(Act::Serve),
        6 => Just(Act::Hear),
        3 => Just(Act::Exit),
        2 => Just(Act::Lose),
        2 => Just(Act::Hold),
        3 => Just(Act::Withdraw),
        4 => Just(Act::Begin),
        2 => Just(Act::Release),
        1 => Just(Act::Terminate),
        1 => Just(Act::Mute),
        2 => Just(Act::Settle),
        1 => Just(Act::Die),
    ];
    // One of them does most of the work, so that its actions come in every order.
    let process = prop_oneof![3 => Just(0), 1 => 0..PROCESSES];
    let step = (act, process, 0..64usize);
    let step = step.prop_map(|(act, process, choice)| Step { act, process, choice });
    prop::collection::vec(step, 20..200)
}

/// As many as PROPTEST_CASES says. Those of CI are the same each time, so that a change is judged by itself.
fn stories() -> ProptestConfig {
    let default = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { default.cases } else { 150 };
    ProptestConfig { cases, ..default }
}

proptest! {
    #![proptest_config(stories())]

    #[test]
    fn no_interleaving_loses_a_job_runs_it_twice_or_leaves_a_claim(steps in steps()) {
        run(Machine::new(false), &steps);
    }

    #[test]
    fn nor_does_one_with_a_runtime_that_queues_itself(steps in steps()) {
        run(Machine::new(true), &steps);
    }
}

fn story(told: impl Iterator<Item = (Act, usize, usize)>) -> Vec<Step> {
    told.map(|(act, process, choice)| Step { act, process, choice }).collect()
}

/// A process starts a job and dies. Another takes it over while the runtime is mute, and a third cleans up its run.
#[test]
fn a_job_whose_starter_died_is_not_started_before_the_runtime_was_asked() {
    use Act::{Admit, Begin, Die, Exit, Hear, Look, Mute, Serve, Settle, Work};
    let before = [(Admit, 0, 0), (Look, 0, 0), (Work, 0, 0), (Serve, 0, 1), (Begin, 0, 0)];
    let taken = [(Mute, 0, 0), (Die, 0, 0), (Settle, 1, 0), (Look, 1, 0), (Work, 1, 0)];
    let ended = [(Hear, 2, 0), (Exit, 0, 0), (Hear, 2, 0), (Hear, 2, 0), (Serve, 2, 1), (Serve, 1, 1)];
    let steps = story(before.into_iter().chain(taken).chain(ended));
    for queues in [false, true] {
        run(Machine::new(queues), &steps);
    }
}

/// A job runs, and is forgotten, before its process hears of it, and dies. Another hears of that start later.
#[test]
fn a_late_report_is_none_about_a_job_that_was_taken_over() {
    use Act::{Begin, Die, Hear, Look, Lose, Serve, Settle, Work};
    let before = [(Look, 0, 0), (Work, 0, 2), (Serve, 0, 1), (Begin, 0, 2), (Lose, 0, 2), (Die, 0, 0)];
    let after = [(Settle, 0, 0), (Look, 0, 0), (Work, 0, 2), (Serve, 0, 1), (Hear, 0, 0)];
    run(Machine::new(true), &story(before.into_iter().chain(after)));
}

fn run(mut machine: Machine, steps: &[Step]) {
    let mut stale = vec![Vec::new(); PROCESSES];
    machine.submit(0, 3, false, None);
    for step in steps {
        machine.step(step, &mut stale);
    }
    machine.finish();
}
