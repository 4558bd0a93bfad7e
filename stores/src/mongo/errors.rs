//! What the driver's errors mean.

use mongodb::error::{Error, ErrorKind, IndexedWriteError, InsertManyError};

use super::{STORE, document::KEY_INDEX};
use crate::{StoreError, Trouble};

const DUPLICATE_KEY: i32 = 11_000;

/// The unique index that rejected a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unique {
    Key,
    Other,
}

/// A document of an insert that was not stored.
pub(super) struct Refused {
    /// Its place in the insert.
    pub(super) place: usize,
    /// The unique index that has its entry already, or what else is wrong with it.
    pub(super) cause: Result<Unique, StoreError>,
}

/// The documents of an unordered insert that were refused; the others are stored.
///
/// # Errors
/// Any other failure: nothing is known of the documents.
pub(super) fn refused_documents(error: Error) -> Result<Vec<Refused>, StoreError> {
    let ErrorKind::InsertMany(InsertManyError { write_errors: Some(refused), write_concern_error: None, .. }) =
        error.kind.as_ref()
    else {
        return Err(failed(error));
    };
    let cause = |error: &IndexedWriteError| {
        if error.code != DUPLICATE_KEY {
            return Err(StoreError::damaged(STORE, error.message.clone()));
        }
        let of_key = error.message.contains(KEY_INDEX);
        Ok(if of_key { Unique::Key } else { Unique::Other })
    };
    Ok(refused.iter().map(|error| Refused { place: error.index, cause: cause(error) }).collect())
}

pub(super) fn is_command_error(error: &Error, name: &str) -> bool {
    matches!(error.kind.as_ref(), ErrorKind::Command(cause) if cause.code_name == name)
}

pub(super) fn failed(error: Error) -> StoreError {
    let ours = matches!(
        error.kind.as_ref(),
        ErrorKind::InvalidArgument { .. } | ErrorKind::BsonDeserialization(_) | ErrorKind::BsonSerialization(_)
    );
    let trouble = if ours { Trouble::Damage } else { Trouble::Outage };
    StoreError { store: STORE, message: error.to_string(), trouble }
}
