//! The HTTP contract, one file a resource; errors of all of them in one table.

#[path = "resources.rs"]
mod resources;
#[path = "../../../stores/tests/services/mod.rs"]
mod services;

use resources::support;

/// Whether the tests of this binary run on external stores.
const EXTERNAL: bool = false;
