//! The server and the command line of banter: effects around the pure engine.

#![warn(clippy::unwrap_used)]

pub mod accounts;
pub mod assembly;
pub mod catalogs;
pub mod commands;
pub mod config;
pub mod conversations;
pub mod failure;
pub mod host;
pub mod message_id;
pub mod metrics;
pub mod passwords;
pub mod progress;
pub mod replays;
pub mod secret;
pub mod secret_file;
pub mod stores;
pub mod telemetry;
pub mod time;
pub mod tokens;
pub mod user_data;
pub mod web;
pub mod workshop;
