//! Values of rows, and rows that no value can be made of: those of another version, or of a damaged file.

use rusqlite::{Error, Result, Row};

use crate::model::JobState;

/// The value of a row; `None` if the row holds something else than such a value. So one job that cannot be read does
/// not hide all others.
pub(super) fn readable<T>(value: Result<T>) -> Result<Option<T>> {
    match value {
        Ok(value) => Ok(Some(value)),
        Err(
            error @ (Error::InvalidColumnType(..)
            | Error::IntegralValueOutOfRange(..)
            | Error::FromSqlConversionFailure(..)),
        ) => {
            tracing::warn!(%error, "a row of the store cannot be read, and is left out");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The state with this number, which was read from a column.
pub(super) fn state_of_number(number: i32, column: usize) -> Result<JobState> {
    JobState::from_number(number).ok_or(Error::IntegralValueOutOfRange(column, i64::from(number)))
}

pub(super) fn state(row: &Row<'_>, column: usize) -> Result<JobState> {
    state_of_number(row.get(column)?, column)
}
