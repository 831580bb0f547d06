//! Reservations of the cluster, made through the library and otherwise.

use drmaa2::model::{ErrorCode, JobState, JobTemplate, ReservationTemplate, now};
use drmaa2::tracker::{Fact, JobTracker, Monitoring, NewJob, Reserving};

use crate::rig::{Rig, eventually, job, rig};
use crate::suspend::of_a_user;

/// Some slots for ten minutes.
fn template(slots: i64) -> ReservationTemplate {
    ReservationTemplate { duration: Some(600), min_slots: Some(slots), ..ReservationTemplate::default() }
}

fn root() -> Vec<String> {
    vec!["root".to_owned()]
}

/// The reservations are gone with this.
struct Cleared<'a>(&'a Rig);

impl Drop for Cleared<'_> {
    fn drop(&mut self) {
        for info in self.0.tracker.all_reservations().unwrap_or_default() {
            let _ = self.0.tracker.end_reservation(&info.id);
        }
    }
}

#[test]
fn a_job_runs_in_its_reservation_which_stays_as_long_as_it_does() {
    let Some(rig) = rig() else { return };
    let cleared = Cleared(&rig);
    let asked = ReservationTemplate { candidate_machines: Some(vec!["n3".into()]), ..template(2) };
    let made = rig.tracker.reserve("drmaa2-in", &asked, &root()).unwrap();
    assert_eq!((made.slots, made.machines.len()), (2, 1), "{made:?}");
    assert_eq!((made.machines[0].machine.as_str(), made.machines[0].slots), ("n3", 2));
    assert!(made.begins <= now() && made.ends - made.begins == 600_000, "{made:?}");
    let new = job("exec sleep 4351");
    let template = JobTemplate { reservation_id: Some("drmaa2-in".into()), ..new.template };
    let id = rig.run(NewJob { template, ..new });
    assert_eq!(rig.tracker.job_info(&id).unwrap().allocated_machines[0].machine, "n3");
    let refused = rig.tracker.end_reservation("drmaa2-in").unwrap_err();
    assert_eq!(refused.code, ErrorCode::InvalidState, "{refused}");
    assert!(refused.message.contains("Requested reservation is in use"), "{refused}");
    rig.tracker.job_control(&id, drmaa2::model::Control::Terminate).unwrap();
    rig.ended(&id);
    // Although Slurm hears of it later.
    rig.tracker.end_reservation("drmaa2-in").unwrap();
    drop(cleared);
}

#[test]
fn a_job_that_waits_for_a_reservation_is_held_when_that_is_over() {
    let Some(rig) = rig() else { return };
    let cleared = Cleared(&rig);
    let asked = ReservationTemplate { duration: Some(5), ..template(1) };
    rig.tracker.reserve("drmaa2-short", &asked, &root()).unwrap();
    let new = job("exit 3");
    let template = JobTemplate { reservation_id: Some("drmaa2-short".into()), ..new.template };
    let id = new.id.clone();
    rig.tracker.add_job(NewJob { held: true, template, ..new }).unwrap();
    rig.until(|fact| match fact {
        Fact::Waits { how, .. } if how.held => how.reason.filter(|it| it.starts_with("RESV_DEL_HOLD")),
        Fact::Waits { .. } | Fact::Live => None,
        other => panic!("{other:?}"),
    });
    assert_eq!(rig.tracker.job_info(&id).unwrap().state, JobState::QueuedHeld);
    rig.tracker.queueing().unwrap().release(std::slice::from_ref(&id)).unwrap();
    assert_eq!(rig.ended(&id).exit_status, Some(3));
    drop(cleared);
}

#[test]
fn the_earliest_window_begins_when_another_ends() {
    let Some(rig) = rig() else { return };
    let cleared = Cleared(&rig);
    // Other tests have left jobs that would never end.
    rig.slurm("scancel", &["--user=root"]);
    eventually("no job is left", || rig.slurm("squeue", &["--noheader"]).is_empty());
    // A node may be down after them.
    let machines = rig.tracker.all_machines().unwrap();
    let machine = machines.into_iter().find(|machine| machine.available).unwrap().name;
    let on_it = |slots| {
        let candidate_machines = Some(vec![machine.as_str().into()]);
        ReservationTemplate { candidate_machines, ..template(slots) }
    };
    let all = rig.tracker.reserve("drmaa2-all", &on_it(8), &root()).unwrap();
    let next = rig.tracker.reserve("drmaa2-next", &on_it(3), &root()).unwrap();
    assert_eq!((next.begins, next.ends), (all.ends, all.ends + 600_000));
    let before = Some(all.ends / 1000 + 599);
    let late = ReservationTemplate { end_time: before, ..on_it(6) };
    let refused = rig.tracker.reserve("drmaa2-late", &late, &root()).unwrap_err();
    assert_eq!(refused.code, ErrorCode::InvalidArgument, "{refused}");
    assert!(refused.message.contains("Requested nodes are busy"), "{refused}");
    drop(cleared);
}

#[test]
fn slurm_refuses_in_its_words() {
    let Some(rig) = rig() else { return };
    let user = of_a_user(&rig);
    let denied = user.reserve("drmaa2-user", &template(1), &["daemon".to_owned()]).unwrap_err();
    assert_eq!(denied.code, ErrorCode::DeniedByDrms, "{denied}");
    assert!(denied.message.starts_with("scontrol: Error creating the reservation: "), "{denied}");
    let refused = |change: ReservationTemplate, users: &[&str]| {
        let users: Vec<String> = users.iter().map(|user| (*user).to_owned()).collect();
        rig.tracker.reserve("drmaa2-x", &change, &users).unwrap_err()
    };
    let list = refused(template(1), &["root,daemon"]);
    assert!(list.message.contains("usersACL"), "{list}");
    let memory = ReservationTemplate { min_phys_memory: Some(1), ..template(1) };
    assert_eq!(refused(memory, &["root"]).code, ErrorCode::UnsupportedAttribute);
    let nowhere = ReservationTemplate { candidate_machines: Some(vec!["n77".into()]), ..template(1) };
    assert_eq!(refused(nowhere, &["root"]).code, ErrorCode::InvalidArgument);
    assert!(rig.tracker.all_reservations().unwrap().is_empty());
    // One of others is there too, and not for everybody.
    let cleared = Cleared(&rig);
    let args = ["create", "reservation", "ReservationName=theirs", "StartTime=now", "Duration=10"];
    rig.slurm("scontrol", &[&args[..], &["NodeCnt=1", "Users=daemon"]].concat());
    let theirs = rig.tracker.reservation("theirs").unwrap();
    assert_eq!((theirs.slots, theirs.users), (8, vec!["daemon".to_owned()]));
    let new = job("true");
    let template = JobTemplate { reservation_id: Some("theirs".into()), ..new.template };
    let id = new.id.clone();
    match rig.tracker.add_job(NewJob { template, ..new }) {
        Err(denied) => assert_eq!(denied.code, ErrorCode::DeniedByDrms, "{denied}"),
        // From 24.11 on root may use any.
        Ok(()) => drop(rig.ended(&id)),
    }
    drop(cleared);
}
