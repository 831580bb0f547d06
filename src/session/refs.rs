//! Jobs, job arrays and reservations as callers name them. Every call looks them up anew.

use serde::{Deserialize, Serialize};

use crate::model::{Error, JobInfo, Result};
use crate::store::Reservation;

/// A job, by its id and its session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRef {
    /// Its id.
    pub id: String,
    /// Its session; `None` for a job that was not made through DRMAA.
    pub session: Option<String>,
    /// The name from its template. Never read from a handle that a caller passes in.
    pub name: Option<String>,
}

impl JobRef {
    pub(super) fn of(info: &JobInfo) -> Self {
        Self { id: info.id.clone(), session: info.session.clone(), name: info.name.clone() }
    }

    /// The same result; an error names the job.
    pub(super) fn named<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| {
            let named = format!("job {}", self.id);
            if error.message.starts_with(&named) { error } else { error.of(named) }
        })
    }

    /// The error for a job that is not in its session.
    pub(super) fn unknown(&self) -> Error {
        let session = self.session.as_deref().unwrap_or_default();
        Error::argument(format!("job {}: not in job session \"{session}\"", self.id))
    }
}

/// A job array, by its id and its session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobArray {
    /// Its id.
    pub id: String,
    /// Its session.
    pub session: Option<String>,
}

/// A reservation, by its id and its session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReservationRef {
    /// Its id.
    pub id: String,
    /// Its session; without it, only a monitoring session gives access.
    pub session: Option<String>,
}

impl ReservationRef {
    pub(super) fn of(reservation: &Reservation) -> Self {
        Self { id: reservation.info.id.clone(), session: Some(reservation.session.clone()) }
    }
}
