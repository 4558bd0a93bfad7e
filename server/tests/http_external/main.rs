//! The tests of `http/` once more, on PostgreSQL, MongoDB and Redis.

mod costs;
#[path = "../http/resources.rs"]
mod resources;
#[path = "../../../stores/tests/services/mod.rs"]
mod services;

use resources::support;

/// Whether the tests of this binary run on external stores.
const EXTERNAL: bool = true;
