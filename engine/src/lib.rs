//! The chatbot engine of banter: a function from a dialogue's state and a text to a [`turn::Turn`].
//!
//! No HTTP, SQL, sockets, environment or clock: time, chance and state come in as arguments, effects go out as data, and what
//! a handler must fetch goes through the [`host::Host`] that the caller gives.

#![warn(clippy::unwrap_used, missing_docs)]

pub mod cache;
pub mod catalogue;
pub mod decide;
pub mod embedding;
pub mod engine;
pub mod entities;
pub mod forecast;
pub mod handlers;
pub mod host;
pub mod index;
pub mod language;
pub mod random;
pub mod reading;
pub mod replay;
pub mod snapshot;
pub mod state;
mod storage;
pub mod text;
pub mod turn;

pub use engine::{Engine, EngineError};
pub use snapshot::Snapshot;
pub use storage::write_atomically;
