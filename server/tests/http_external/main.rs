//! The tests of `http/` on PostgreSQL, MongoDB, and Redis.

mod costs;
#[path = "../http/resources.rs"]
mod resources;
#[path = "../../../stores/tests/services/mod.rs"]
mod services;

use resources::support;

/// Whether this binary tests external stores.
const EXTERNAL: bool = true;
