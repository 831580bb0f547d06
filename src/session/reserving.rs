//! Reservations that the runtime keeps: the store knows which session they belong to, the runtime all else.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::engine::Engine;
use super::world::World;
use crate::model::{Error, ErrorCode, Owner, ReservationInfo, ReservationTemplate, Result, now};
use crate::store::{NewReservation, Reservation, Session};
use crate::tracker::Reserving;

/// Begins the ids of reservations, which are their names in the runtime, so that people know whose they are there.
const PREFIX: &str = "drmaa2-";

/// Make the reservation that a template requests. Returns its id.
pub(super) fn request(
    world: &World,
    engine: &Engine,
    session: &Session,
    id: &str,
    owner: &Owner,
    template: &ReservationTemplate,
) -> Result<String> {
    let reserving = of(engine)?;
    let (id, users) = (format!("{PREFIX}{id}"), template.users(&owner.user));
    let info = reserving.reserve(&id, template, &users)?;
    let new = NewReservation {
        id: &id,
        session: session.id,
        target: &engine.target,
        template,
        owner,
        machine: "",
        users: &users,
        memory: 0,
    };
    let stored = world.store.keep_reservation(&new, &info).and_then(|()| world.store.sync());
    if let Err(error) = stored {
        // Nobody would find it, although a monitoring session shows it, until it is over.
        if let Err(error) = reserving.end_reservation(&id) {
            tracing::warn!(%error, id, "a reservation that cannot be stored stays until it is over");
        }
        return Err(error);
    }
    Ok(id)
}

/// The present account of a stored reservation. One that the runtime does not know any more is over.
pub(super) fn current(world: &World, stored: Reservation) -> Result<ReservationInfo> {
    let ReservationInfo { id, name, ends, .. } = &stored.info;
    if !stored.kept || *ends <= now() {
        return Ok(stored.info);
    }
    match of(&*world.engine(&stored.target)?)?.reservation(id) {
        Ok(info) => Ok(ReservationInfo { name: name.clone(), ..info }),
        Err(error) if error.code == ErrorCode::InvalidArgument => {
            is_over(world, id)?;
            let stored = world.store.reservation(id)?;
            stored.map(|stored| stored.info).ok_or(error)
        }
        Err(error) => Err(error),
    }
}

/// Give a stored reservation up in its runtime, if that keeps it. INVALID_STATE if it is over.
pub(super) fn end(world: &World, stored: &Reservation) -> Result<()> {
    let id = &stored.info.id;
    if !stored.kept || stored.info.ends <= now() {
        return Ok(());
    }
    match of(&*world.engine(&stored.target)?)?.end_reservation(id) {
        Err(error) if error.code == ErrorCode::InvalidArgument => {
            is_over(world, id)?;
            Err(Error::state(format!("reservation {id}: it is over ({error})")))
        }
        ended => ended,
    }
}

/// Those of stored reservations that are not over in their runtime either.
pub(super) fn in_force(world: &World, stored: Vec<Reservation>) -> Result<Vec<Reservation>> {
    let mut known: HashMap<String, HashSet<String>> = HashMap::new();
    let mut left = Vec::with_capacity(stored.len());
    for reservation in stored {
        if reservation.kept {
            if !known.contains_key(&reservation.target) {
                let all = of(&*world.engine(&reservation.target)?)?.all_reservations()?;
                known.insert(reservation.target.clone(), all.into_iter().map(|it| it.id).collect());
            }
            if !known.get(&reservation.target).is_some_and(|ids| ids.contains(&reservation.info.id)) {
                is_over(world, &reservation.info.id)?;
                continue;
            }
        }
        left.push(reservation);
    }
    Ok(left)
}

/// The reservations of the default runtime that were not made here.
pub(super) fn foreign(world: &World) -> Result<Vec<ReservationInfo>> {
    let engine = world.default_engine()?;
    let Some(reserving) = engine.tracker().reserving() else { return Ok(Vec::new()) };
    let mut others = Vec::new();
    for info in reserving.all_reservations()? {
        if world.store.reservation(&info.id)?.is_none() {
            others.push(info);
        }
    }
    Ok(others)
}

/// The engine of the default runtime, if that keeps reservations.
pub(super) fn keeper(world: &World) -> Result<Option<Arc<Engine>>> {
    let engine = world.default_engine()?;
    let keeps = engine.tracker().reserving().is_some();
    Ok(keeps.then_some(engine))
}

/// The reservations of a runtime that keeps them.
pub(super) fn of(engine: &Engine) -> Result<&dyn Reserving> {
    let reserving = engine.tracker().reserving();
    reserving.ok_or_else(|| Error::unsupported("a reservation on this system"))
}

/// Note that a reservation is over before its time. Another process may have done so.
fn is_over(world: &World, id: &str) -> Result<()> {
    match world.store.end_reservation(id) {
        Err(error) if error.code != ErrorCode::InvalidState => Err(error),
        _ => Ok(()),
    }
}
