//! Reservations in the store. One is in force until its window is over, even if its session is
//! destroyed.

use rusqlite::{Connection, Row, ToSql, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::queue::{active, reserved};
use super::sweep::sweep_reservations;
use super::{Failable, Store};
use crate::model::{Error, Millis, Owner, ReservationInfo, ReservationTemplate, Result, SlotInfo, now};
use crate::scheduler::{Machine, Window};

/// A new reservation, without its window.
pub struct NewReservation<'a> {
    /// Its id.
    pub id: &'a str,
    /// The row of its session.
    pub session: i64,
    /// The runtime for whose jobs it is.
    pub target: &'a str,
    /// The request.
    pub template: &'a ReservationTemplate,
    /// The user that asked for it.
    pub owner: &'a Owner,
    /// The machine.
    pub machine: &'a str,
    /// The users that may use it.
    pub users: &'a [String],
    /// Memory, kilobytes.
    pub memory: i64,
}

/// A stored reservation, which may be over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// Its number, by which jobs refer to it.
    pub number: i64,
    /// The name of its session.
    pub session: String,
    /// Its session has been destroyed.
    pub orphaned: bool,
    /// The user that asked for it.
    pub owner: String,
    /// The numbers of that user and of the owner of its session; negative for nobody.
    pub whose: (i64, i64),
    /// The runtime for whose jobs it is.
    pub target: String,
    /// The request.
    pub template: ReservationTemplate,
    /// Memory, kilobytes.
    pub memory: i64,
    /// Its runtime keeps it, and knows more of it.
    pub kept: bool,
    /// The result.
    pub info: ReservationInfo,
}

const COLUMNS: &str = "SELECT r.number, r.id, s.name, s.destroyed, r.template, r.machine, r.users,
    r.begins, r.ends, r.slots, r.memory, r.owner, r.target, r.owner_uid, s.owner_uid
    FROM reservations r JOIN reservation_sessions s ON s.id = r.session ";

impl Store {
    /// Store a new reservation. `find` chooses its window from what is in use and promised; no other
    /// process can promise anything meanwhile. INVALID_SESSION if its session has been destroyed.
    pub fn reserve(
        &self,
        new: &NewReservation<'_>,
        find: impl FnOnce(Millis, &Machine) -> Result<Window>,
    ) -> Result<()> {
        self.write(|sql| {
            let now = now();
            sweep_reservations(sql, now)?;
            let machine = Machine { active: active(sql)?, reserved: reserved(sql, now)? };
            insert(sql, new, &find(now, &machine)?)
        })
    }

    /// Store a reservation that its runtime has made, and keeps. It takes nothing of this machine: its row has no slots,
    /// and in place of the machine a list of those of the runtime.
    pub fn keep_reservation(&self, new: &NewReservation<'_>, info: &ReservationInfo) -> Result<()> {
        let machines: Vec<_> = info.machines.iter().map(|it| (&it.machine, it.slots)).collect();
        let new = NewReservation { machine: &json(&machines)?, memory: 0, ..*new };
        let window = Window { begins: info.begins, ends: info.ends, slots: 0 };
        self.write(|sql| {
            sweep_reservations(sql, now())?;
            insert(sql, &new, &window)
        })
    }

    /// A reservation by its id, over or not.
    pub fn reservation(&self, id: &str) -> Result<Option<Reservation>> {
        Ok(self.reservations("WHERE r.id = ?", params![id])?.pop())
    }

    /// The reservations of a session that are not over, in the order in which they were made.
    pub fn session_reservations(&self, session: i64) -> Result<Vec<Reservation>> {
        let condition = "WHERE r.session = ? AND r.ends > ? ORDER BY r.number";
        self.reservations(condition, params![session, now()])
    }

    /// All reservations that are not over, in the order in which they were made.
    pub fn all_reservations(&self) -> Result<Vec<Reservation>> {
        self.reservations("WHERE r.ends > ? ORDER BY r.number", params![now()])
    }

    fn reservations(&self, condition: &str, params: &[&dyn ToSql]) -> Result<Vec<Reservation>> {
        self.read(|sql| {
            let mut query = sql.prepare_cached(&format!("{COLUMNS} {condition}"))?;
            let mut rows = query.query(params)?;
            let mut reservations = Vec::new();
            while let Some(row) = rows.next()? {
                reservations.push(reservation(row)?);
            }
            Ok(reservations)
        })
    }

    /// End a reservation before its time. INVALID_STATE if it is over, INVALID_ARGUMENT if there is
    /// none.
    pub fn end_reservation(&self, id: &str) -> Result<()> {
        self.write(|sql| {
            let ended = sql
                .prepare_cached(
                    "UPDATE reservations SET ends = ?2, terminated = 1 WHERE id = ?1 AND ends > ?2",
                )?
                .execute(params![id, now()])?;
            if ended == 1 {
                return Ok(());
            }
            let known = sql.prepare_cached("SELECT 1 FROM reservations WHERE id = ?")?.exists([id])?;
            let error = if known {
                Error::state(format!("reservation {id}: it is over"))
            } else {
                Error::argument(format!("reservation {id} does not exist"))
            };
            Err(error.into())
        })
    }
}

fn insert(sql: &Connection, new: &NewReservation<'_>, window: &Window) -> Failable<()> {
    let added = sql
        .prepare_cached(
            "INSERT INTO reservations
                 (id, session, target, template, owner, machine, users, begins, ends, slots,
                  memory, owner_uid)
             SELECT ?1, id, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12
             FROM reservation_sessions WHERE id = ?2 AND destroyed = 0",
        )?
        .execute(params![
            new.id,
            new.session,
            new.target,
            json(new.template)?,
            new.owner.user,
            new.machine,
            json(&new.users)?,
            window.begins,
            window.ends,
            window.slots,
            new.memory,
            new.owner.uid,
        ])?;
    match added {
        0 => Err(Error::session("the reservation session has been destroyed").into()),
        _ => Ok(()),
    }
}

fn reservation(row: &Row<'_>) -> Failable<Reservation> {
    let template: ReservationTemplate = parsed(&row.get::<_, String>(4)?)?;
    let (begins, ends): (Millis, Millis) = (row.get(7)?, row.get(8)?);
    let (machine, slots): (String, i64) = (row.get(5)?, row.get(9)?);
    // No machine has such a name.
    let kept = machine.starts_with('[');
    let machines = match kept {
        true => parsed::<Vec<(String, i64)>>(&machine)?,
        false => vec![(machine, slots)],
    };
    let info = ReservationInfo {
        id: row.get(1)?,
        name: template.name(),
        begins,
        // A reservation that was terminated before its begin has an empty window.
        ends: ends.max(begins),
        users: parsed(&row.get::<_, String>(6)?)?,
        slots: machines.iter().fold(0, |sum: i64, (_, slots)| sum.saturating_add(*slots)),
        machines: machines.into_iter().map(|(machine, slots)| SlotInfo { machine, slots }).collect(),
    };
    let (number, session, memory) = (row.get(0)?, row.get(2)?, row.get(10)?);
    let (orphaned, owner, target) = (row.get(3)?, row.get(11)?, row.get(12)?);
    let whose = (row.get(13)?, row.get(14)?);
    Ok(Reservation { number, session, orphaned, owner, whose, target, template, memory, kept, info })
}

fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|error| Error::internal(format!("cannot store a reservation: {error}")))
}

fn parsed<T: DeserializeOwned>(json: &str) -> Result<T> {
    serde_json::from_str(json)
        .map_err(|error| Error::internal(format!("a stored reservation cannot be read: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ErrorCode, Scope};
    use crate::scheduler::Reserved;
    use crate::store::{Kind, Session};

    const HOUR: Millis = 3_600_000;

    fn fresh() -> (tempfile::TempDir, Store, Session) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let session = store
            .create_session(Kind::Reservation, "s", None, &Owner::for_tests("me", 7), None)
            .unwrap();
        (dir, store, session)
    }

    /// Reserve two slots for an hour that begins in `from`, if fewer than four are promised then.
    fn reserve(store: &Store, session: i64, id: &str, from: Millis) -> Result<()> {
        let template = ReservationTemplate {
            reservation_name: Some("name".into()),
            duration: Some(HOUR / 1000),
            ..ReservationTemplate::default()
        };
        let users = ["me".to_owned()];
        let new = NewReservation {
            id,
            session,
            target: "t",
            template: &template,
            owner: &Owner::for_tests("me", 7),
            machine: "node1",
            users: &users,
            memory: 7,
        };
        store.reserve(&new, |now, machine| {
            let (begins, ends) = (now + from, now + from + HOUR);
            let busy: i64 = machine.reserved.iter().map(|reserved| reserved.slots).sum();
            if busy >= 4 {
                return Err(Error::argument("full"));
            }
            Ok(Window { begins, ends, slots: 2 })
        })
    }

    fn code<T: std::fmt::Debug>(result: Result<T>) -> ErrorCode {
        result.unwrap_err().code
    }

    fn ids(reservations: Result<Vec<Reservation>>) -> Vec<String> {
        reservations.unwrap().into_iter().map(|reservation| reservation.info.id).collect()
    }

    #[test]
    fn a_reservation_is_stored_as_it_was_made() {
        let (_dir, store, session) = fresh();
        reserve(&store, session.id, "r1", HOUR).unwrap();
        let stored = store.reservation("r1").unwrap().unwrap();
        assert_eq!((stored.session.as_str(), stored.orphaned), ("s", false));
        assert_eq!(stored.template.duration, Some(3600));
        let info = stored.info;
        assert_eq!((info.id.as_str(), info.name.as_deref()), ("r1", Some("name")));
        assert_eq!((info.ends - info.begins, info.slots), (HOUR, 2));
        assert_eq!(info.users, ["me"]);
        assert_eq!(info.machines, [SlotInfo { machine: "node1".into(), slots: 2 }]);
        assert_eq!(store.reservation("r2").unwrap(), None);
        let reserved = store.read(|sql| Ok(reserved(sql, now())?)).unwrap();
        let expected = Reserved {
            number: stored.number,
            begins: info.begins,
            ends: info.ends,
            slots: 2,
            memory: 7,
        };
        assert_eq!(reserved, [expected]);
    }

    #[test]
    fn what_is_promised_counts_and_a_refusal_leaves_nothing() {
        let (_dir, store, session) = fresh();
        reserve(&store, session.id, "r1", HOUR).unwrap();
        reserve(&store, session.id, "r2", 2 * HOUR).unwrap();
        assert_eq!(code(reserve(&store, session.id, "r3", HOUR)), ErrorCode::InvalidArgument);
        assert_eq!(ids(store.all_reservations()), ["r1", "r2"]);
        store.end_reservation("r1").unwrap();
        reserve(&store, session.id, "r3", HOUR).unwrap();
        assert_eq!(ids(store.session_reservations(session.id)), ["r2", "r3"]);
    }

    #[test]
    fn one_that_is_over_can_be_read_and_not_be_ended() {
        let (_dir, store, session) = fresh();
        reserve(&store, session.id, "past", -2 * HOUR).unwrap();
        reserve(&store, session.id, "now", -HOUR / 2).unwrap();
        reserve(&store, session.id, "later", HOUR).unwrap();
        assert_eq!(ids(store.all_reservations()), ["now", "later"]);
        let before = now();
        store.end_reservation("now").unwrap();
        store.end_reservation("later").unwrap();
        for over in ["past", "now", "later"] {
            assert_eq!(code(store.end_reservation(over)), ErrorCode::InvalidState, "{over}");
        }
        assert_eq!(code(store.end_reservation("none")), ErrorCode::InvalidArgument);
        let info = |id| store.reservation(id).unwrap().unwrap().info;
        assert!(info("now").ends >= before && info("now").ends <= now());
        assert_eq!(info("later").begins, info("later").ends, "it never was");
        assert!(ids(store.session_reservations(session.id)).is_empty());
        assert!(store.read(|sql| Ok(reserved(sql, now())?)).unwrap().is_empty());
    }

    #[test]
    fn a_destroyed_session_keeps_only_what_is_in_force() {
        let (_dir, store, session) = fresh();
        reserve(&store, session.id, "past", -2 * HOUR).unwrap();
        reserve(&store, session.id, "later", HOUR).unwrap();
        store.destroy_session(Kind::Reservation, "s", Scope::ALL, None).unwrap();
        assert_eq!(store.reservation("past").unwrap(), None);
        assert!(store.reservation("later").unwrap().unwrap().orphaned);
        assert_eq!(store.session_of_row(Kind::Reservation, session.id, Scope::ALL).unwrap(), None);
        assert_eq!(code(reserve(&store, session.id, "new", HOUR)), ErrorCode::InvalidSession);
        assert_eq!(
            code(store.destroy_session(Kind::Reservation, "s", Scope::ALL, None)),
            ErrorCode::InvalidArgument
        );

        // The name is free, and the new session is another one, even when the old is gone.
        let again = store
            .create_session(Kind::Reservation, "s", None, &Owner::for_tests("me", 7), None)
            .unwrap();
        assert!(ids(store.session_reservations(again.id)).is_empty());
        store.end_reservation("later").unwrap();
        store.destroy_session(Kind::Reservation, "s", Scope::ALL, None).unwrap();
        assert_eq!(store.reservation("later").unwrap(), None);
        let third = store
            .create_session(Kind::Reservation, "s", Some("c"), &Owner::for_tests("me", 7), None)
            .unwrap();
        assert!(third.id > again.id && again.id > session.id);
        assert_eq!(store.session(Kind::Reservation, "s", Scope::ALL).unwrap(), third);
    }

    #[test]
    fn names_are_a_space_of_their_own() {
        let (_dir, store, _) = fresh();
        store.create_session(Kind::Job, "s", None, &Owner::for_tests("me", 7), None).unwrap();
        store.create_session(Kind::Job, "jobs", None, &Owner::for_tests("me", 7), None).unwrap();
        assert_eq!(
            code(store.create_session(Kind::Reservation, "s", None, &Owner::for_tests("me", 7), None)),
            ErrorCode::InvalidArgument
        );
        store.create_session(Kind::Reservation, "t", None, &Owner::for_tests("me", 7), None).unwrap();
        assert_eq!(store.session_names(Kind::Reservation, Scope::ALL).unwrap(), ["s", "t"]);
        assert_eq!(
            code(store.session(Kind::Reservation, "jobs", Scope::ALL)),
            ErrorCode::InvalidArgument
        );
    }
}
