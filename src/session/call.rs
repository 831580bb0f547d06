//! The calls of a client, and their answers: each function of the API that needs more than its own process is one call.

use serde::{Deserialize, Serialize};

use super::behalf::Behalf;
use super::ids::Nonce;
use super::refs::{JobArray, JobRef, ReservationRef};
use super::submit::Bulk;
use super::view::View;
use crate::model::{
    Control, Error, ErrorCode, JobFilter, JobInfo, JobState, JobTemplate, Machine, Queue,
    ReservationInfo, ReservationTemplate, Result, Version,
};
use crate::store::{Event, Kind, Session};

/// A call. The answer's type is in brackets.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Call {
    /// Make a session of this name, or of a new one; the answer to a call that is made again is that to the first.
    /// (Session)
    CreateSession {
        kind: Kind,
        behalf: Behalf,
        nonce: Nonce,
        name: Option<String>,
        contact: Option<String>,
    },
    /// Find a session by its name. (Session)
    OpenSession { kind: Kind, name: String },
    /// Bring to an end what was begun for a session that is being closed. (Done)
    CloseSession(Session),
    /// Remove a session. (Number: its row)
    DestroySession { kind: Kind, behalf: Behalf, name: String },
    /// The names of the sessions. (Texts)
    SessionNames(Kind),
    /// INVALID_SESSION if it has been destroyed. (Done)
    CheckSession(Session),
    /// The valid values of `jobCategory`. (Texts)
    Categories(Session),
    /// The jobs of a session. (Jobs)
    SessionJobs { session: Session, filter: Option<Box<JobFilter>> },
    /// A job array of a session by its id. (Array)
    SessionArray { session: Session, id: String },
    /// Submit a job; the answer to a call that is made again is that to the first. (Job)
    RunJob {
        session: Session,
        behalf: Behalf,
        nonce: Nonce,
        template: Box<JobTemplate>,
        #[serde(default, skip_serializing_if = "View::is_empty")]
        view: View,
    },
    /// Submit a job array; likewise. (Done)
    RunArray {
        session: Session,
        behalf: Behalf,
        nonce: Nonce,
        template: Box<JobTemplate>,
        bulk: Bulk,
        #[serde(default, skip_serializing_if = "View::is_empty")]
        view: View,
    },

    /// The state of a job. (State)
    JobState(JobRef),
    /// The account of a job. (Info)
    JobInfo(JobRef),
    /// The template of a job. (Template)
    JobTemplate(JobRef),
    /// Control a job. (Done)
    ControlJob { job: JobRef, control: Control },
    /// Reap a job. (Done)
    ReapJob(JobRef),
    /// The array that a job is a task of. (MaybeArray)
    ArrayOf(JobRef),
    /// Tells whether a job was made through DRMAA. (Truth)
    IsStored(JobRef),
    /// Have the changes of jobs that were made through DRMAA reported from now on. If nobody will `wait` for them, they are
    /// looked up instead. The jobs come back with all that a handle contains. (Jobs)
    Watch { jobs: Vec<JobRef>, wait: bool },
    /// The tasks of a job array. (Jobs)
    ArrayJobs(JobArray),
    /// The template of a job array. (Template)
    ArrayTemplate(JobArray),
    /// The name of the owner of a job array. (Owner)
    ArrayOwner(JobArray),
    /// Control the tasks of a job array. (Done)
    ControlArray { array: JobArray, control: Control },
    /// Reap a job array. (Done)
    ReapArray(JobArray),

    /// Make the reservation that a template requests; likewise. (Reservation)
    Request { session: Session, behalf: Behalf, nonce: Nonce, template: Box<ReservationTemplate> },
    /// The reservations of a session that are not over. (Reservations)
    SessionReservations(Session),
    /// The account of a reservation. (ReservationInfo)
    ReservationInfo(ReservationRef),
    /// The template of a reservation. (ReservationTemplate)
    ReservationTemplate(ReservationRef),
    /// The name of the owner of a reservation, if it was made through DRMAA. (Owner)
    ReservationOwner(ReservationRef),
    /// Terminate a reservation. (Done)
    EndReservation(ReservationRef),

    /// Note events for the callback of the process from now on. (Number: the last event before that)
    Listen,
    /// Note none any more. (Done)
    Unlisten,
    /// The next events after the one of this number; those of jobs that the client may not see name no job. (Events)
    TakeEvents(i64),

    /// The jobs of all sessions and of none. (Jobs)
    AllJobs(Option<Box<JobFilter>>),
    /// All reservations that are not over. (Reservations)
    AllReservations,
    /// All machines. (Machines)
    Machines,
    /// All queues. (Queues)
    Queues,
    /// Tells whether there is an optional feature, by its number in the C enum `drmaa2_capability`. (Truth)
    Supports(i32),
    /// The name of the DRM system. (Name)
    DrmsName,
    /// The version of the DRM system. (Version)
    DrmsVersion,
}

impl Call {
    /// The answer to the first of two equal calls, if the error of the second says that the first was carried out.
    pub(super) fn was_done(&self, error: &Error) -> Option<Answer> {
        match (self, error.code) {
            // Its row is nobody's any more.
            (Self::DestroySession { .. }, ErrorCode::InvalidArgument) => Some(Answer::Number(-1)),
            (Self::ReapJob(_) | Self::ReapArray(_), ErrorCode::InvalidArgument)
            | (
                Self::ControlJob { .. } | Self::ControlArray { .. } | Self::EndReservation(_),
                ErrorCode::InvalidState,
            ) => Some(Answer::Done(())),
            _ => None,
        }
    }

    /// Have it say what this process sees where the files of its job are.
    pub(super) fn looks(&mut self) {
        if let Self::RunJob { behalf, template, view, .. }
        | Self::RunArray { behalf, template, view, .. } = self
        {
            *view = View::of(template, behalf);
        }
    }

    /// Have it made by a user, whatever it says; root alone may say that it is on behalf of another.
    pub(super) fn is_by(&mut self, user: &Behalf) {
        let behalf = match self {
            Self::CreateSession { behalf, .. }
            | Self::DestroySession { behalf, .. }
            | Self::RunJob { behalf, .. }
            | Self::RunArray { behalf, .. }
            | Self::Request { behalf, .. } => behalf,
            Self::OpenSession { .. }
            | Self::CloseSession(_)
            | Self::SessionNames(_)
            | Self::CheckSession(_)
            | Self::Categories(_)
            | Self::SessionJobs { .. }
            | Self::SessionArray { .. }
            | Self::JobState(_)
            | Self::JobInfo(_)
            | Self::JobTemplate(_)
            | Self::ControlJob { .. }
            | Self::ReapJob(_)
            | Self::ArrayOf(_)
            | Self::IsStored(_)
            | Self::Watch { .. }
            | Self::ArrayJobs(_)
            | Self::ArrayTemplate(_)
            | Self::ArrayOwner(_)
            | Self::ControlArray { .. }
            | Self::ReapArray(_)
            | Self::SessionReservations(_)
            | Self::ReservationInfo(_)
            | Self::ReservationTemplate(_)
            | Self::ReservationOwner(_)
            | Self::EndReservation(_)
            | Self::Listen
            | Self::Unlisten
            | Self::TakeEvents(_)
            | Self::AllJobs(_)
            | Self::AllReservations
            | Self::Machines
            | Self::Queues
            | Self::Supports(_)
            | Self::DrmsName
            | Self::DrmsVersion => return,
        };
        if user.scope().uid != 0 || matches!(behalf, Behalf::Himself) {
            *behalf = user.clone();
        }
    }
}

/// Declares the answers, and how one is taken as what the call promises.
macro_rules! answers {
    ($($variant:ident($content:ty)),* $(,)?) => {
        /// The answer to a call.
        #[derive(Debug, Serialize, Deserialize)]
        pub(super) enum Answer { $($variant($content)),* }
        $(
            impl From<$content> for Answer {
                fn from(content: $content) -> Self {
                    Self::$variant(content)
                }
            }
            impl Content for $content {
                fn of(answer: Answer) -> Result<Self> {
                    match answer {
                        Answer::$variant(content) => Ok(content),
                        _ => Err(Error::internal("the answer is one to another call")),
                    }
                }
            }
        )*
    };
}

/// The content of an answer.
pub(super) trait Content: Sized {
    /// Take it from the answer.
    fn of(answer: Answer) -> Result<Self>;
}

answers! {
    Done(()),
    Number(i64),
    Truth(bool),
    Session(Session),
    Texts(Vec<String>),
    Name(String),
    Owner(Option<String>),
    Job(JobRef),
    Jobs(Vec<JobRef>),
    Array(JobArray),
    MaybeArray(Option<JobArray>),
    State((JobState, Option<String>)),
    Info(Box<JobInfo>),
    Template(Box<JobTemplate>),
    Reservation(ReservationRef),
    Reservations(Vec<ReservationRef>),
    ReservationInfo(Box<ReservationInfo>),
    ReservationTemplate(Box<ReservationTemplate>),
    Machines(Vec<Machine>),
    Queues(Vec<Queue>),
    Version(Version),
    Events(Vec<Event>),
}
