//! Answers the calls of a client over the world, as the user that the client is.

mod arrays;
mod events;
mod jobs;
mod monitoring;
mod reservations;
mod sessions;

use std::sync::Arc;

use super::call::{Answer, Call};
use super::world::World;
use crate::drms;
use crate::model::{Result, Scope};
use crate::store::Claim;

/// A client, as it is while one call is answered.
pub(super) struct Desk<'a> {
    /// The world that it asks.
    pub(super) world: &'a Arc<World>,
    /// The objects that it may see.
    pub(super) scope: Scope,
    /// It is a guest: a user who has no way to the runtime but this.
    pub(super) is_guest: bool,
    /// It has a monitoring session open.
    pub(super) monitoring: bool,
    /// Its process.
    pub(super) claim: &'a Claim,
    /// An answer may be lost on its way to it.
    pub(super) is_remote: bool,
}

impl Desk<'_> {
    /// Returns whether the client may see an object of this owner, in a session of that owner.
    fn sees(&self, whose: (i64, i64)) -> bool {
        self.scope.has_one_of(whose)
    }

    /// Answer a call.
    pub(super) fn answer(&self, call: Call) -> Result<Answer> {
        Ok(match call {
            Call::CreateSession { kind, behalf, nonce, name, contact } => {
                self.create_session(kind, &behalf, nonce, name.as_deref(), contact.as_deref())?.into()
            }
            Call::OpenSession { kind, name } => self.open_session(kind, &name)?.into(),
            Call::CloseSession(session) => self.close_session(&session)?.into(),
            Call::DestroySession { kind, behalf, name } => {
                self.destroy_session(kind, &behalf, &name)?.into()
            }
            Call::SessionNames(kind) => self.world.store.session_names(kind, self.scope)?.into(),
            Call::CheckSession(session) => self.stored_session(&session).map(drop)?.into(),
            Call::Categories(session) => self.categories(&session)?.into(),
            Call::SessionJobs { session, filter } => {
                self.session_jobs(&session, filter.as_deref())?.into()
            }
            Call::SessionArray { session, id } => self.session_array(&session, id)?.into(),
            Call::RunJob { session, behalf, nonce, template, view } => {
                self.run_job(&session, &behalf, nonce, *template, &view)?.into()
            }
            Call::RunArray { session, behalf, nonce, template, bulk, view } => {
                self.run_array(&session, &behalf, nonce, &template, bulk, &view)?.into()
            }
            Call::JobState(job) => job.named(self.job_state(&job))?.into(),
            Call::JobInfo(job) => Box::new(job.named(self.job_info(&job))?).into(),
            Call::JobTemplate(job) => Box::new(job.named(self.job_template(&job))?).into(),
            Call::ControlJob { job, control } => job.named(self.control_job(&job, control))?.into(),
            Call::ReapJob(job) => job.named(self.reap_job(&job))?.into(),
            Call::ArrayOf(job) => job.named(self.array_of(&job))?.into(),
            Call::IsStored(job) => job.named(self.is_stored(&job))?.into(),
            Call::Watch { jobs, wait } => self.watch(&jobs, wait)?.into(),
            Call::ArrayJobs(array) => self.array_jobs(&array)?.into(),
            Call::ArrayTemplate(array) => Box::new(self.array_template(&array)?).into(),
            Call::ArrayOwner(array) => Some(self.array_owner(&array)?).into(),
            Call::ControlArray { array, control } => self.control_array(&array, control)?.into(),
            Call::ReapArray(array) => self.reap_array(&array)?.into(),
            Call::Request { session, behalf, nonce, template } => {
                self.request(&session, &behalf, nonce, &template)?.into()
            }
            Call::SessionReservations(session) => self.session_reservations(&session)?.into(),
            Call::ReservationInfo(reservation) => Box::new(self.reservation_info(&reservation)?).into(),
            Call::ReservationTemplate(reservation) => {
                Box::new(self.reservation_template(&reservation)?).into()
            }
            Call::ReservationOwner(reservation) => self.reservation_owner(&reservation)?.into(),
            Call::EndReservation(reservation) => self.end_reservation(&reservation)?.into(),
            Call::Listen => self.listen()?.into(),
            Call::Unlisten => self.unlisten()?.into(),
            Call::TakeEvents(seen) => self.take_events(seen)?.into(),
            Call::AllJobs(filter) => self.all_jobs(filter.as_deref())?.into(),
            Call::AllReservations => self.all_reservations()?.into(),
            Call::Machines => self.machines()?.into(),
            Call::Queues => self.queues()?.into(),
            Call::Supports(capability) => self.supports(capability)?.into(),
            Call::DrmsName => drms::name(&self.world.config.reload()?.target()).to_owned().into(),
            Call::DrmsVersion => self.world.default_engine()?.tracker().contact()?.version.into(),
        })
    }
}
