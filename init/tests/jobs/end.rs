//! Jobs that end by themselves, and their records.

use std::fs::OpenOptions;

use crate::harness::Job;

#[test]
fn the_exit_code_is_the_commands() {
    for code in [0, 1, 77, 126, 127, 255] {
        Job::sh(&format!("exit {code}")).run().assert_exit(code);
    }
}

#[test]
fn a_signal_is_told_from_an_exit_code() {
    for signal in [libc::SIGKILL, libc::SIGSEGV, libc::SIGTERM, libc::SIGABRT] {
        Job::sh(&format!("kill -{signal} $$")).run().assert_signal(signal, "");
        Job::sh(&format!("exit {}", 128 + signal)).run().assert_exit(128 + signal);
    }
}

/// A wait for the end of the command, whose number is `$command`.
const OUTLIVE: &str = "while kill -0 $command; do :; done 2>/dev/null";

#[test]
fn writers_that_outlive_the_command_finish() {
    let write = format!("{OUTLIVE}; seq 1 20000 > out");
    for (name, script) in [
        ("in the background", format!("({write}) &")),
        ("in a session of its own", format!("setsid sh -c '{write}' &")),
        ("an orphan", format!("(({write}) &);")),
        ("at the end of a pipe", format!("seq 1 20000 | ({OUTLIVE}; cat > out) &")),
        ("of the command's output", format!("({OUTLIVE}; cat < pipe > out) & (seq 1 20000 > pipe) &")),
    ] {
        let job = Job::sh(&format!("export command=$$; {script} exit 3"));
        job.fifo("pipe");
        let ended = job.run();
        ended.assert_exit(3);
        let lines = ended.job.get("out").lines().count();
        assert_eq!((ended.remark().as_str(), lines), ("", 20_000), "{name}");
    }
}

#[test]
fn what_the_command_leaves_behind_is_asked_to_end_and_then_killed() {
    let mut job = Job::sh(
        "setsid sh -c 'trap \"echo asked > out; exit\" TERM; echo > go; sleep 1000 & wait' & read go < go",
    );
    job.fifo("go");
    job.order.linger = 100;
    let ended = job.run();
    ended.assert_exit(0);
    assert_eq!(ended.job.get("out"), "asked\n");
    assert_eq!(ended.remark(), "processes that outlived the command were asked to end after 0.1 s");

    let mut job = Job::sh("trap '' TERM HUP; setsid sleep 1000 & sleep 1000 & (sleep 1000 &) ; exit 3");
    (job.order.linger, job.order.grace) = (0, 300);
    let ended = job.run();
    ended.assert_exit(3);
    assert_eq!(
        ended.remark(),
        "processes that outlived the command were asked to end after 0 s; they did not end within 0.3 s of SIGTERM; \
         killed"
    );
}

#[test]
fn orphans_are_reaped_while_the_command_runs() {
    // A zombie orphan would still be in /proc when the command looks.
    let job = Job::sh(
        "(sh -c 'echo $$ > pid; exec 3> gone' &)
         read end < gone
         read pid < pid
         while [ -e /proc/$pid ]; do :; done",
    );
    job.fifo("gone");
    job.run().assert_exit(0);
}

#[test]
fn cpu_time_counts_all_descendants() {
    // The orphan burns CPU time and reports how much: fields 14 and 15 of its stat file, in ticks of 10
    // ms.
    let job = Job::sh(
        "(sh -c 'while set -- $(cat /proc/$$/stat); [ $((${14} + ${15})) -lt 40 ]; do
                     i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done
                 done
                 echo $((${14} + ${15} + ${16} + ${17})) > done' &)
         read ticks < done; echo $ticks",
    );
    job.fifo("done");
    let ended = job.run();
    ended.assert_exit(0);
    let burnt = ended.stdout().trim().parse::<i64>().unwrap() * 10;
    let counted = ended.record.cpu_time;
    assert!((burnt - 30..burnt * 12 / 10 + 30).contains(&counted), "{counted} of {burnt} ms");
}

#[test]
fn max_rss_is_that_of_the_largest_descendant() {
    let ended = Job::sh("dd if=/dev/zero of=/dev/null bs=64M count=1; true").run();
    assert!((65_536..2 * 65_536).contains(&ended.record.max_rss), "{}", ended.record.max_rss);
    let ended = Job::new(&["true"]).run();
    assert!(ended.record.max_rss < 16_384, "{}", ended.record.max_rss);
}

#[test]
fn a_job_cannot_lead_the_record_elsewhere() {
    let mut job = Job::sh("ln -s victim record.new; ln -s victim record");
    job.put("victim", b"untouched");
    job.order.user = b"4711:4712".to_vec();
    let ended = job.run();
    ended.assert_exit(0);
    assert_eq!(ended.job.get("victim"), "untouched");
}

#[test]
fn a_job_whose_lifeline_is_cut_is_killed() {
    // Nobody has it open when init looks.
    let mut job = Job::new(&["sleep", "1000"]);
    job.fifo("lifeline");
    job.order.lifeline = job.bytes("lifeline");
    let reason = "killed: the program that it was started under was killed";
    job.run().assert_interrupted(libc::SIGKILL, reason);
}

#[test]
fn what_is_left_of_a_job_whose_lifeline_is_cut_is_killed() {
    let mut job = Job::sh(&format!("command=$$; ({OUTLIVE}; echo >ready; exec sleep 1000) & exit 3"));
    job.fifo("lifeline");
    job.order.lifeline = job.bytes("lifeline");
    let lifeline = OpenOptions::new().read(true).write(true).open(job.path("lifeline")).unwrap();
    let running = job.start().ready();
    drop(lifeline);
    let ended = running.wait();
    assert_eq!((ended.record.exit_code, ended.record.signal), (Some(3), None));
    assert!(ended.record.interrupted);
    assert_eq!(ended.reason(), "killed: the program that it was started under was killed");
}
