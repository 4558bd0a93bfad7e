//! Tests the real binary with the real model and the demo bot: commands, start, and crashes.

mod at_once;
mod client;
mod commands;
mod environment;
mod hostile;
mod install;
mod killed;
mod logs;
mod plugins;
mod record;
mod reload;
mod replay;
#[path = "../../../stores/tests/services/mod.rs"]
mod services;
mod slow;
mod stopped;
mod stores;
mod support;
