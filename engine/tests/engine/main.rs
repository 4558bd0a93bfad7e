//! The engine without a model, a network or a database.

mod checks;
mod diagnostics;
mod dialogue;
mod graph;
mod index;
mod kinds;
mod plugins;
mod repairs;
mod replay;
mod scripts;
mod states;
mod successor;
mod support;
mod training;
