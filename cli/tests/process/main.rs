//! Tests the real binary with the real model and the demo bot: commands, start, and crashes.

mod at_once;
mod client;
mod commands;
mod connections;
mod environment;
mod examples;
mod hostile;
mod install;
mod killed;
mod logs;
mod memory;
mod plugins;
#[path = "../../../server/tests/http/google/publisher.rs"]
mod publisher;
mod record;
mod reload;
mod replay;
mod round_robin;
#[path = "../../../stores/tests/services/mod.rs"]
mod services;
mod slow;
mod smuggled;
mod starts;
mod stopped;
mod stores;
mod support;
