//! The real binary with the real model and the demo bot: commands, start, sudden death.

mod commands;
mod hostile;
mod killed;
mod stopped;
mod support;
