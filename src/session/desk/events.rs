//! Events for the callback of a client.

use super::Desk;
use crate::model::Result;
use crate::store::Event;

/// The number of events taken at a time.
const BATCH: i64 = 1000;

impl Desk<'_> {
    pub(super) fn listen(&self) -> Result<i64> {
        self.world.store.listen(self.claim)
    }

    pub(super) fn unlisten(&self) -> Result<()> {
        self.world.store.unlisten(self.claim)
    }

    /// Those of others keep their places, so that none seems lost, and say nothing.
    pub(super) fn take_events(&self, seen: i64) -> Result<Vec<Event>> {
        let store = &self.world.store;
        let mut events = match self.is_remote {
            true => store.show_events(self.claim, seen, BATCH)?,
            false => store.take_events(self.claim, seen, BATCH)?,
        };
        if self.is_guest {
            for event in &mut events {
                if !self.sees_event(event)? {
                    event.job.clear();
                    event.session = None;
                }
            }
        }
        Ok(events)
    }

    fn sees_event(&self, event: &Event) -> Result<bool> {
        let store = &self.world.store;
        if let Some(session) = &event.session
            && store.session_of_row(session.kind, session.id, self.scope)?.is_some()
        {
            return Ok(true);
        }
        Ok(store.standing(&event.job)?.is_some_and(|standing| self.sees(standing.whose)))
    }
}
