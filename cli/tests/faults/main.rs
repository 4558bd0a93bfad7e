//! Fault injection. Two servers run on PostgreSQL, MongoDB, and Redis; eight clients send numbered messages to shared
//! dialogues; a fault happens in the middle. Every acknowledged message must be in the history exactly once, in order.
//!
//! The tests share the stores, so they inject one fault at a time. `cargo test --test faults -- --nocapture` prints a
//! line for each.

mod backup;
mod deployed;
mod fleet;
mod neighbours;
mod outages;
mod proxy;
mod reload;
#[path = "../../../stores/tests/services/mod.rs"]
mod services;
#[path = "../process/support.rs"]
mod support;
mod survive;
mod waiting;
