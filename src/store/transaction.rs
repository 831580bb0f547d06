//! Transactions of a connection.

use rusqlite::{Connection, DropBehavior, Transaction, TransactionBehavior};

use crate::model::Error;

/// The reason why a transaction was not made.
pub(super) enum Failure {
    Sql(rusqlite::Error),
    Refused(Error),
}

pub(super) type Failable<T> = std::result::Result<T, Failure>;

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

/// Read in a transaction. Its begin and its end are statements that are kept: they are as much work as a short query.
pub(super) fn at_one_moment<T>(
    connection: &Connection,
    body: impl FnOnce(&Connection) -> Failable<T>,
) -> Failable<T> {
    connection.prepare_cached("BEGIN")?.execute([])?;
    let value = body(connection);
    // There is nothing to undo.
    let end = connection.prepare_cached("COMMIT").and_then(|mut end| end.execute([]));
    let value = value?;
    end?;
    Ok(value)
}

/// Write in a transaction, which is undone after an error.
pub(super) fn transact<T>(
    connection: &mut Connection,
    body: impl FnOnce(&Transaction<'_>) -> Failable<T>,
) -> Failable<T> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let value = body(&transaction)?;
    transaction.commit()?;
    Ok(value)
}

/// Write in a part of a transaction, which alone is undone after an error.
pub(super) fn in_savepoint<T>(
    connection: &mut Connection,
    body: impl FnOnce(&Connection) -> Failable<T>,
) -> Failable<T> {
    let mut part = connection.savepoint()?;
    // One that is dropped is undone.
    let value = body(&part);
    match &value {
        Ok(_) => part.commit()?,
        Err(_) if part.is_autocommit() => part.set_drop_behavior(DropBehavior::Ignore),
        Err(_) => {}
    }
    value
}
