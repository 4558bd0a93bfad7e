//! Two servers on PostgreSQL, MongoDB and Redis, eight clients that send numbered messages to shared dialogues, and a fault in
//! the middle. Whatever breaks: what was acknowledged is in the history, once, in its order.
//!
//! One fault at a time: they share the stores. `cargo test --test faults -- --nocapture` prints a line for each.

mod backup;
mod fleet;
mod outages;
mod proxy;
mod reload;
#[path = "../../../stores/tests/services/mod.rs"]
mod services;
#[path = "../process/support.rs"]
mod support;
mod survive;
