//! The engine without a model, a network or a database.

mod ceiling;
mod checks;
mod composed;
mod contexts;
mod diagnostics;
mod dialogue;
mod graph;
mod index;
mod invariants;
mod kinds;
mod plugins;
mod repairs;
mod replay;
mod scripts;
mod sessions;
mod states;
mod successor;
mod support;
mod training;
