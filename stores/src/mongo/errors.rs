//! What the driver's errors mean.

use mongodb::error::{Error, ErrorKind, IndexedWriteError, InsertManyError};

use super::{STORE, document::KEY_INDEX};
use crate::{StoreError, Trouble};

const DUPLICATE_KEY: i32 = 11_000;
/// Of a document that is refused whenever it comes again: it fails the validation, or is too large.
const BAD_DOCUMENT: [i32; 3] = [121, 10_334, 17_280];

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
    let ErrorKind::InsertMany(InsertManyError { write_errors, write_concern_error, .. }) = error.kind.as_ref() else {
        return Err(failed(error));
    };
    // The driver's own message lists all documents.
    if let Some(concern) = write_concern_error {
        return Err(StoreError::outage(
            STORE,
            format!("{} ({}): {}", concern.code_name, concern.code, concern.message),
        ));
    }
    let Some(write_errors) = write_errors else {
        return Err(StoreError::outage(STORE, "an insert failed without a reason"));
    };
    let cause = |error: &IndexedWriteError| {
        if error.code == DUPLICATE_KEY {
            let of_key = error.message.contains(KEY_INDEX);
            return Ok(if of_key { Unique::Key } else { Unique::Other });
        }
        let trouble = if BAD_DOCUMENT.contains(&error.code) { Trouble::Damage } else { Trouble::Outage };
        Err(StoreError { store: STORE, message: error.message.clone(), trouble })
    };
    Ok(write_errors.iter().map(|error| Refused { place: error.index, cause: cause(error) }).collect())
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
