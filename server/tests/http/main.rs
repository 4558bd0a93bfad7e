//! The HTTP contract, one file per resource, on the embedded store.

#[path = "resources.rs"]
mod resources;
#[path = "../../../stores/tests/services/mod.rs"]
mod services;

use resources::support;

/// Whether this binary tests external stores.
const EXTERNAL: bool = false;
