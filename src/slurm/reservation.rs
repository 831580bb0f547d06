//! Reservations of Slurm: a reservation of the library is one of Slurm with its id as the name, and Slurm's word about
//! it counts. Slurm lets administrators alone make one.

use std::time::{Duration, Instant};

use super::command::Programs;
use super::control::Patience;
use super::nodes;
use super::squeue::{machines, names};
use crate::model::{
    Error, ErrorCode, Machine, Millis, ReservationInfo, ReservationTemplate, Result, SlotInfo, Span,
    Wanted, now,
};

/// The most windows, or machines, that are tried, and the time for it.
const TRIES: usize = 64;
/// See [`TRIES`].
const TIME: Duration = Duration::from_secs(20);
/// The word of Slurm for what is not free.
const BUSY: &str = "Requested nodes are busy";

/// Make a reservation with this name for these users.
pub(super) async fn reserve(
    programs: &Programs,
    id: &str,
    template: &ReservationTemplate,
    users: &[String],
) -> Result<ReservationInfo> {
    let wanted = template.wanted_anywhere(now())?;
    if wanted.memory > 0 {
        let text = "reservation template: minPhysMemory: Slurm reserves no memory";
        return Err(Error::new(ErrorCode::UnsupportedAttribute, text));
    }
    if let Some(user) = users.iter().find(|user| !is_name(user)) {
        return Err(Error::argument(format!("reservation template: usersACL: {user:?} is no user")));
    }
    let places = places(programs, template, wanted.min_slots).await?;
    let (name, users) = (format!("ReservationName={id}"), format!("Users={}", users.join(",")));
    let (began, mut tries) = (Instant::now(), 0);
    let mut busy = None;
    for (begins, ends) in windows(programs, &wanted).await? {
        let (begins, ends) = (format!("StartTime={}", time(begins)), format!("EndTime={}", time(ends)));
        for place in &places {
            if tries == TRIES || began.elapsed() > TIME {
                break;
            }
            tries += 1;
            let mut args = vec!["create", "reservation", &name, &begins, &ends, &users];
            args.extend(place.iter().map(String::as_str));
            match programs.ask("scontrol", &args).await {
                Ok(_) => return reservation(programs, id).await,
                Err(error) if error.message.contains(BUSY) => busy = Some(error),
                Err(error) => return Err(error),
            }
        }
    }
    Err(busy.unwrap_or_else(|| Error::argument("there is no time for what the template asks for")))
}

/// A reservation by its name.
pub(super) async fn reservation(programs: &Programs, id: &str) -> Result<ReservationInfo> {
    let found = all(programs).await?.into_iter().find(|info| info.id == id);
    found.ok_or_else(|| Error::argument(format!("Slurm has no reservation {id}")))
}

/// All reservations.
pub(super) async fn all(programs: &Programs) -> Result<Vec<ReservationInfo>> {
    let text = programs.ask("scontrol", &["--oneliner", "show", "reservation"]).await?;
    Ok(text.lines().filter_map(info).collect())
}

/// Give a reservation up. INVALID_STATE as long as jobs use it, for a while also those that have ended, of which Slurm
/// hears later.
pub(super) async fn end(programs: &Programs, id: &str) -> Result<()> {
    // Its name may be one that somebody else has chosen.
    reservation(programs, id).await?;
    let (name, mut patience) = (format!("ReservationName={id}"), Patience::new());
    loop {
        match programs.ask("scontrol", &["delete", &name]).await {
            Err(error) if error.code == ErrorCode::InvalidState => patience.after(error).await?,
            ended => return ended.map(drop),
        }
    }
}

/// The windows that can be the earliest one: what is not free now becomes so when a job, or a reservation, ends.
async fn windows(programs: &Programs, wanted: &Wanted) -> Result<Vec<(Millis, Millis)>> {
    let (duration, before) = match wanted.span {
        Span::Fixed { begins, ends } => return Ok(vec![(begins, ends)]),
        Span::AtOnce { duration } => {
            let begins = this_second();
            return Ok(vec![(begins, begins + duration)]);
        }
        Span::Earliest { duration, before } => (duration, before),
    };
    let args = ["--noheader", "--all", "--states=RUNNING,SUSPENDED,COMPLETING", "--format=%e"];
    let jobs = programs.ask("squeue", &args).await?;
    let ends =
        jobs.lines().filter_map(seconds).chain(all(programs).await?.into_iter().map(|it| it.ends));
    let now = this_second();
    let mut begins: Vec<Millis> = ends.filter(|end| *end > now).chain([now]).collect();
    begins.sort_unstable();
    begins.dedup();
    let windows = begins.into_iter().map(|begins| (begins, begins + duration));
    Ok(windows.filter(|(_, ends)| before.is_none_or(|before| *ends <= before)).collect())
}

/// Slurm's times are whole seconds; the begin of this one is not in the past for it.
fn this_second() -> Millis {
    now() / 1000 * 1000
}

/// The ways to ask for so many slots, as Slurm's arguments. It has no word for a choice of machines.
async fn places(
    programs: &Programs,
    template: &ReservationTemplate,
    slots: i64,
) -> Result<Vec<Vec<String>>> {
    let candidates = template.candidate_machines.as_ref().filter(|names| !names.is_empty());
    let machines = nodes::machines(programs).await?;
    if candidates.is_none() && template.machine_os.is_none() && template.machine_arch.is_none() {
        let all = machines.iter().map(cores).fold(0, i64::saturating_add);
        return match slots > all {
            // Slurm would call the nodes busy, as if they were free at another time.
            true => Err(Error::argument(format!(
                "reservation template: minSlots {slots}: all machines have {all}"
            ))),
            false => Ok(vec![vec![format!("CoreCnt={slots}")]]),
        };
    }
    let (mut fit, mut refusal) = (Vec::new(), None);
    for machine in machines {
        match machine.check(candidates, template.machine_os, template.machine_arch) {
            Ok(()) => fit.push(machine),
            Err(text) => refusal = Some(text),
        }
    }
    let refused = || refusal.unwrap_or_else(|| "Slurm has no machines".to_owned());
    let places = choices(&fit, slots);
    match (fit.is_empty(), places.is_empty()) {
        (true, _) => Err(Error::argument(format!("reservation template: {}", refused()))),
        (_, true) => Err(Error::argument(format!(
            "reservation template: minSlots {slots}: the machines that it asks for have fewer"
        ))),
        _ => Ok(places),
    }
}

/// The cores that Slurm reserves by number.
fn cores(machine: &Machine) -> i64 {
    machine.sockets.saturating_mul(machine.cores_per_socket)
}

/// Each machine that has all the slots; if none has, as many as are needed.
fn choices(fit: &[Machine], slots: i64) -> Vec<Vec<String>> {
    let args = |some: &[(&str, i64)]| {
        let nodes: Vec<&str> = some.iter().map(|(name, _)| *name).collect();
        let cores: Vec<String> = some.iter().map(|(_, cores)| cores.to_string()).collect();
        vec![format!("Nodes={}", nodes.join(",")), format!("CoreCnt={}", cores.join(","))]
    };
    let whole = fit.iter().filter(|machine| cores(machine) >= slots);
    let mut choices: Vec<_> = whole.map(|machine| args(&[(machine.name.as_str(), slots)])).collect();
    if choices.is_empty() {
        let (mut some, mut left) = (Vec::new(), slots);
        for machine in fit {
            let share = cores(machine).min(left);
            left -= share;
            some.extend((share > 0).then_some((machine.name.as_str(), share)));
        }
        choices.extend((left == 0).then(|| args(&some)));
    }
    choices
}

/// Returns whether Slurm takes a text for the name of one user, and not for a list, or for one that is kept out.
fn is_name(user: &str) -> bool {
    let plain = |letter: char| letter.is_alphanumeric() || "._-@$+\\".contains(letter);
    !user.is_empty() && !user.starts_with(['-', '+']) && user.chars().all(plain)
}

/// A time, for Slurm.
fn time(at: Millis) -> String {
    format!("uts{}", at / 1000)
}

fn seconds(text: &str) -> Option<Millis> {
    text.trim().parse::<i64>().ok()?.checked_mul(1000)
}

/// A reservation as `scontrol --oneliner show reservation` describes it.
fn info(line: &str) -> Option<ReservationInfo> {
    let value = |name: &str| {
        let mut words = line.split_whitespace();
        words.find_map(|word| word.strip_prefix(name)?.strip_prefix('=')).filter(|it| *it != "(null)")
    };
    let resources = value("TRES").unwrap_or_default().split(',');
    let cpus = resources.filter_map(|it| it.strip_prefix("cpu=")).find_map(|cpus| cpus.parse().ok());
    let slots: i64 = cpus.or_else(|| value("CoreCnt")?.parse().ok()).unwrap_or(0);
    let users = value("Users").unwrap_or_default().split(',').filter(|user| !user.is_empty());
    Some(ReservationInfo {
        id: value("ReservationName")?.to_owned(),
        name: None,
        begins: value("StartTime").and_then(seconds)?,
        ends: value("EndTime").and_then(seconds)?,
        users: users.map(str::to_owned).collect(),
        slots,
        machines: shares(line, slots)
            .unwrap_or_else(|| machines(value("Nodes").unwrap_or_default(), slots)),
    })
}

/// The slots on each machine by their cores there, which Slurm shows of what is no whole machine.
fn shares(line: &str, slots: i64) -> Option<Vec<SlotInfo>> {
    let mut words = line.split_whitespace();
    let mut cores = Vec::new();
    while let Some(word) = words.next() {
        let Some(list) = word.strip_prefix("NodeName=") else { continue };
        let ids = words.next()?.strip_prefix("CoreIDs=")?;
        let count = i64::try_from(names(&format!("[{ids}]")).len()).ok()?;
        cores.extend(names(list).into_iter().map(|machine| SlotInfo { machine, slots: count }));
    }
    let all: i64 = cores.iter().map(|share| share.slots).sum();
    let share = |it: SlotInfo| SlotInfo { slots: it.slots.saturating_mul(slots) / all.max(1), ..it };
    (all > 0).then(|| cores.into_iter().map(share).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Cpu, Os};

    #[test]
    fn a_reservation_is_read() {
        let line = "ReservationName=drmaa2-a StartTime=1796114814 EndTime=1796114874 Duration=00:01:00 Nodes=n[1-2] \
                    NodeCnt=2 CoreCnt=10 Features=(null) PartitionName=main Flags=   NodeName=n1 CoreIDs=0-7   \
                    NodeName=n2 CoreIDs=0,3 TRES=cpu=20 Users=root,daemon Groups=(null) State=INACTIVE";
        let share = |machine: &str, slots| SlotInfo { machine: machine.into(), slots };
        let expected = ReservationInfo {
            id: "drmaa2-a".into(),
            name: None,
            begins: 1_796_114_814_000,
            ends: 1_796_114_874_000,
            users: vec!["root".into(), "daemon".into()],
            slots: 20,
            machines: vec![share("n1", 16), share("n2", 4)],
        };
        assert_eq!(info(line), Some(expected));
        let whole =
            "ReservationName=x StartTime=9 EndTime=10 Nodes=n[1-2] CoreCnt=16 TRES=cpu=16 Users=(null)";
        let whole = info(whole).unwrap();
        assert_eq!(whole.machines, [share("n1", 8), share("n2", 8)]);
        assert!(whole.users.is_empty());
        assert_eq!(info("No reservations in the system"), None);
        assert_eq!(info("ReservationName=x StartTime=soon"), None);
    }

    #[test]
    fn slots_are_on_one_machine_if_one_has_them() {
        let machine = |name: &str, cores_per_socket| Machine {
            name: name.into(),
            available: true,
            sockets: 1,
            cores_per_socket,
            threads_per_core: 2,
            load: None,
            phys_memory: 1,
            virt_memory: 1,
            os: Os::Linux,
            os_version: None,
            arch: Cpu::X64,
        };
        let all = [machine("a", 2), machine("b", 4), machine("c", 4)];
        let texts = |slots| choices(&all, slots).iter().map(|args| args.join(" ")).collect::<Vec<_>>();
        assert_eq!(texts(3), ["Nodes=b CoreCnt=3", "Nodes=c CoreCnt=3"]);
        assert_eq!(texts(7), ["Nodes=a,b,c CoreCnt=2,4,1"]);
        assert_eq!(texts(6), ["Nodes=a,b CoreCnt=2,4"]);
        assert_eq!(texts(11), Vec::<String>::new());
    }

    #[test]
    fn a_user_is_one_name() {
        assert!(is_name("me") && is_name("a.b-c@d") && is_name("x$"));
        for other in ["", "-me", "+me", "a,b", "a b", "a=b"] {
            assert!(!is_name(other), "{other}");
        }
    }
}
