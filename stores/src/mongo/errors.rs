//! What the driver's errors mean.

use mongodb::error::{Error, ErrorKind, WriteFailure};

use super::{STORE, document::KEY_INDEX};
use crate::{StoreError, Trouble};

const DUPLICATE_KEY: i32 = 11_000;

/// The unique index that rejected a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unique {
    Key,
    Other,
}

pub(super) fn duplicate(error: &Error) -> Option<Unique> {
    let ErrorKind::Write(WriteFailure::WriteError(cause)) = error.kind.as_ref() else { return None };
    let of_key = cause.message.contains(KEY_INDEX);
    (cause.code == DUPLICATE_KEY).then_some(if of_key { Unique::Key } else { Unique::Other })
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
