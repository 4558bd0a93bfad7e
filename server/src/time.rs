//! The server's clock: the only place that asks what time it is.

use crate::stores::Millis;

/// Now, in milliseconds since 1970.
pub fn now() -> Millis {
    jiff::Timestamp::now().as_millisecond()
}

/// A time in milliseconds as the engine wants it.
pub fn timestamp(millis: Millis) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}
