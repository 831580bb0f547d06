//! The fake as a system that keeps reservations, which it does if it has a queue of its own.

use super::FakeTracker;
use crate::model::{Error, Millis, ReservationInfo, ReservationTemplate, Result, SlotInfo, Span, now};
use crate::tracker::Reserving;

/// The slots of the fake's machine.
const SLOTS: i64 = 4;

impl FakeTracker {
    /// Let a reservation be over, or be made by somebody else.
    pub fn set_reservation(&self, id: &str, ends: Option<Millis>) {
        let mut state = self.state.lock();
        state.reservations.retain(|info| info.id != id);
        state.reservations.extend(ends.map(|ends| made(id, (now(), ends), 1, &["other".to_owned()])));
    }
}

fn made(id: &str, (begins, ends): (Millis, Millis), slots: i64, users: &[String]) -> ReservationInfo {
    ReservationInfo {
        id: id.to_owned(),
        name: None,
        begins,
        ends,
        users: users.to_owned(),
        slots,
        machines: vec![SlotInfo { machine: "fake-host".to_owned(), slots }],
    }
}

fn unknown(id: &str) -> Error {
    Error::argument(format!("the fake has no reservation {id}"))
}

impl Reserving for FakeTracker {
    fn reserve(
        &self,
        id: &str,
        template: &ReservationTemplate,
        users: &[String],
    ) -> Result<ReservationInfo> {
        let mut state = self.up()?;
        let wanted = template.wanted_anywhere(now())?;
        if let Some(error) = state.refusal.take() {
            return Err(error);
        }
        if wanted.min_slots > SLOTS {
            return Err(Error::argument("the fake has fewer slots"));
        }
        let window = match wanted.span {
            Span::Fixed { begins, ends } => (begins, ends),
            Span::AtOnce { duration } | Span::Earliest { duration, .. } => (now(), now() + duration),
        };
        let info = made(id, window, wanted.min_slots, users);
        state.reservations.push(info.clone());
        Ok(info)
    }

    fn reservation(&self, id: &str) -> Result<ReservationInfo> {
        let state = self.up()?;
        state.reservations.iter().find(|info| info.id == id).cloned().ok_or_else(|| unknown(id))
    }

    fn all_reservations(&self) -> Result<Vec<ReservationInfo>> {
        Ok(self.up()?.reservations.clone())
    }

    fn end_reservation(&self, id: &str) -> Result<()> {
        let mut state = self.up()?;
        let before = state.reservations.len();
        state.reservations.retain(|info| info.id != id);
        if state.reservations.len() == before { Err(unknown(id)) } else { Ok(()) }
    }
}
