//! The chatbot engine of banter: a function from a dialogue state and a text to a [`turn::Turn`].
//!
//! It uses no HTTP, SQL, sockets, environment or clock. Time, seed and state are arguments, effects are returned as
//! data, and handlers reach the outside world only through the caller's [`host::Host`].

#![warn(clippy::unwrap_used)]

pub mod background;
pub mod cache;
pub mod catalogue;
pub mod decide;
pub mod diagnostic;
pub mod dialogue;
pub mod embedding;
pub mod engine;
pub mod entities;
pub mod forecast;
pub mod handlers;
pub mod host;
pub mod ids;
pub mod index;
pub mod language;
pub mod lesson;
pub mod lexicon;
pub mod pattern;
pub mod policy;
pub mod random;
pub mod replay;
pub mod review;
pub mod snapshot;
pub mod state;
mod storage;
pub mod template;
pub mod text;
pub mod turn;
pub mod understanding;
pub mod values;
pub mod word;

pub use engine::{Engine, EngineError, Request};
pub use snapshot::Snapshot;
pub use storage::write_atomically;
