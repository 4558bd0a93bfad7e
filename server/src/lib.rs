//! The server of banter as a library: use cases, and HTTP over them. It knows neither a terminal nor a command line.

#![warn(clippy::unwrap_used)]

pub mod accounts;
pub mod assembly;
pub mod catalogs;
pub mod channel;
pub mod config;
pub mod console;
pub mod conversations;
pub mod dialogues;
pub mod embedder;
pub mod expiry;
pub mod feeds;
pub mod google;
pub mod hand_offs;
pub mod histories;
pub mod host;
pub mod listener;
pub mod message_id;
pub mod metrics;
pub mod operations;
pub mod passwords;
pub mod queries;
pub mod secret_file;
pub mod setup;
pub mod telemetry;
pub mod tokens;
pub mod user_data;
pub mod web;
